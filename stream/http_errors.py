"""Every error as the same JSON: `{"error": {"code": for programs, "message": for people}}`."""

import logging
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from models.errors import PhotoError, UnknownSystemError
from stream.errors import (
    BusyError,
    DeviceFullError,
    DeviceLostError,
    NotReadyError,
    OfferError,
    SystemFailedError,
    UnknownIdentityError,
    UnknownSessionError,
)

logger = logging.getLogger(__name__)

_HTTP_CODES: Final = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}


def error_json(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """One error as a response."""
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers)


def code_of(error: Exception) -> str:
    """The error's code, for programs."""
    match error:
        case PhotoError() | OfferError():
            return error.reason
        case BusyError():
            return "busy"
        case DeviceFullError():
            return "no_memory"
        case DeviceLostError():
            return "device_lost"
        case NotReadyError():
            return "not_ready"
        case UnknownSystemError():
            return "unknown_system"
        case SystemFailedError():
            return "failed"
        case UnknownIdentityError():
            return "unknown_identity"
        case UnknownSessionError():
            return "unknown_session"
        case _:
            return "internal"


def install(app: FastAPI) -> None:
    """Give `app` our handlers."""
    for kind in (PhotoError, OfferError, UnknownSystemError, SystemFailedError):
        app.add_exception_handler(kind, _unusable)
    for kind in (UnknownIdentityError, UnknownSessionError):
        app.add_exception_handler(kind, _unknown)
    for kind in (BusyError, DeviceFullError, DeviceLostError, NotReadyError):
        app.add_exception_handler(kind, _later)
    app.add_exception_handler(RequestValidationError, _bad_request)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _internal)


async def _unusable(_: Request, error: Exception) -> JSONResponse:
    return error_json(422, code_of(error), str(error))


async def _unknown(_: Request, error: Exception) -> JSONResponse:
    return error_json(404, code_of(error), str(error))


async def _later(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, BusyError | DeviceFullError | DeviceLostError | NotReadyError)
    return error_json(503, code_of(error), str(error), {"Retry-After": str(error.retry_after_s)})


async def _bad_request(_: Request, error: Exception) -> JSONResponse:
    """Says where and what, but never repeats the input: it may be SDP."""
    assert isinstance(error, RequestValidationError)
    problems = error.errors()
    places = [f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}" for problem in problems]
    not_json = any(problem["type"] == "json_invalid" for problem in problems)
    return error_json(400 if not_json else 422, "bad_request", "; ".join(places))


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = _HTTP_CODES.get(error.status_code, "bad_request" if error.status_code < 500 else "internal")
    message = error.detail
    if message == HTTPStatus(error.status_code).phrase:
        message = f"{message}: {request.method} {request.url.path}; GET /openapi.json lists what there is"
    return error_json(error.status_code, code, message, dict(error.headers or {}))


async def _internal(request: Request, error: Exception) -> JSONResponse:
    logger.error("%s %s: failed with %s", request.method, request.url.path, type(error).__name__)
    return error_json(500, "internal", "something broke on our side: the server's log says more")
