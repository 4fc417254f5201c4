"""The HTTP face of the server: a FastAPI application around one `Service`."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, FastAPI, File, Form, Request, Response, UploadFile
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, Field
from starlette.routing import Match, Mount
from starlette.types import Scope

from models.registry import facts, load_system, systems
from models.system import System
from stream import http_errors, metrics
from stream.body_limit import BodyLimit
from stream.config import ServeConfig
from stream.describe import describe
from stream.engines import Engines
from stream.identities import Identity, IdentityStore
from stream.local_engine import LocalEngine
from stream.metrics import Metrics
from stream.service import Service
from stream.types import MAX_LOOKAHEAD_MS, SessionOptions

MAX_PHOTO_BYTES: Final = 10_000_000
MULTIPART_BYTES: Final = 16_384  # room for boundaries, headers and the name around a photo
MAX_JSON_BYTES: Final = 262_144
MAX_ID_CHARS: Final = 100
PAGE_DIR: Final = Path(__file__).parent.parent / "web_client" / "dist"

Facts = Mapping[str, object]  # a JSON object; pydantic cannot read the recursive `stream.types.JSON`


class Options(BaseModel):
    """What a caller may choose; the server's own defaults stand in for what is left out."""

    lookahead_ms: Annotated[int, Field(ge=0, le=MAX_LOOKAHEAD_MS)] | None = None
    idle: bool = True
    voice: bool = True
    system: Annotated[str, Field(max_length=MAX_ID_CHARS)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0


class Offer(BaseModel):
    """A browser's offer; `identity` None takes the first there is."""

    sdp: str
    type: Literal["offer"]
    identity: Annotated[str, Field(max_length=MAX_ID_CHARS)] | None = None
    options: Options = Options()


def create_app(
    config: ServeConfig,
    *,
    system: System | None = None,
    make_store: Callable[..., IdentityStore] = IdentityStore,
    on_failure: Callable[[], None] | None = None,
) -> FastAPI:
    """The application with its engines in its own process; the first is loaded when the ASGI lifespan starts.

    Args:
        config: What the server was told.
        system: To be used instead of loading the one that `config` names.
        make_store: Makes the store of identities.
        on_failure: Called when the system could not be loaded.
    """

    def load() -> System:
        return system or load_system(config.system, config.weights, config.backend, config.precision)

    counters, known = Metrics(), dict[str, Identity]()
    engines: dict[str, LocalEngine] = {}

    def engine(own: ServeConfig, load: Callable[[], System], on_failure: Callable[[], None] | None) -> LocalEngine:
        def elsewhere() -> float:
            return sum(engine.load for name, engine in engines.items() if name != own.system)

        store = partial(make_store, known=known)
        return LocalEngine(own, load, store, elsewhere, on_enrolled=counters.on_enrolled, on_failure=on_failure)

    engines[config.system] = engine(config, load, on_failure)
    for name in () if config.only else systems():
        if name not in engines:
            own = replace(config, system=name, weights=None, backend="auto", precision="auto")
            engines[name] = engine(own, partial(load_system, name), None)
    first, *others = engines.items()
    return app_of(Service(config, Engines(first[1], dict(others)), counters))


def app_of(service: Service) -> FastAPI:
    """The application; it starts and stops the service with the ASGI lifespan."""
    config = service.config

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        service.start()
        try:
            yield
        finally:
            await service.stop()

    # the interactive pages of FastAPI fetch their scripts from elsewhere; ours must work without a network
    app = FastAPI(title="visavis", version="1", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.service = service
    http_errors.install(app)
    app.add_middleware(
        BodyLimit,
        default_bytes=MAX_JSON_BYTES,
        by_path={"/v1/identities": MAX_PHOTO_BYTES + MULTIPART_BYTES},
    )
    app.add_middleware(
        CORSMiddleware,
        allow_origins=config.allow_origins,
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["content-type"],
        expose_headers=["location", "retry-after"],
    )
    app.include_router(_router)
    page_dir = config.page_dir or PAGE_DIR
    if page_dir.is_dir():
        app.router.routes.append(_Page("/", _PageFiles(directory=page_dir, html=True), name="page"))
    return app


def _service(request: Request) -> Service:
    return request.app.state.service


Owner = Annotated[Service, Depends(_service)]
_router = APIRouter()


@_router.post("/v1/sessions", status_code=201)
async def open_session(offer: Offer, service: Owner, response: Response) -> Facts:
    """Answer a browser's offer: a face speaks from now on."""
    chosen = offer.options
    lookahead_ms = service.config.lookahead_ms if chosen.lookahead_ms is None else chosen.lookahead_ms
    options = SessionOptions(lookahead_ms, chosen.idle, chosen.voice, chosen.seed)
    session = await service.open_session(offer.sdp, offer.type, offer.identity, options, chosen.system)
    response.headers["location"] = f"/v1/sessions/{session.id}"
    return {
        "id": session.id,
        "sdp": session.answer_sdp,
        "type": "answer",
        "lookahead_ms": session.lookahead_ms,
        "identity": session.identity_id,
    }


@_router.get("/v1/sessions/{session_id}")
async def show_session(session_id: str, service: Owner) -> Facts:
    """State, latency of each stage, what was dropped."""
    return await service.show_session(session_id)


@_router.delete("/v1/sessions/{session_id}", status_code=204)
async def close_session(session_id: str, service: Owner) -> None:
    """End a session."""
    await service.close_session(session_id)


@_router.post("/v1/identities", status_code=201)
async def add_identity(
    photo: Annotated[UploadFile, File()], service: Owner, name: Annotated[str, Form()] = ""
) -> Facts:
    """Enrol a portrait."""
    data = await photo.read()
    return _identity_json(await service.store.add(data, name or Path(photo.filename or "").stem))


@_router.get("/v1/identities")
async def list_identities(service: Owner) -> Facts:
    """Everyone who can be drawn."""
    return {"identities": [_identity_json(identity) for identity in service.store.all()]}


@_router.get("/v1/identities/{identity_id}/photo", response_class=Response)
async def show_identity(identity_id: str, service: Owner) -> Response:
    """The person at rest, framed as in a session."""
    data = await service.store.picture(identity_id)
    return Response(data, media_type="image/jpeg", headers={"cache-control": "private, max-age=60"})


@_router.get("/v1/systems")
async def list_systems(service: Owner) -> Facts:
    """The systems that a caller can choose; the active one, which draws unless they do, first."""
    active = service.system
    others = [await asyncio.to_thread(facts, name) for name in service.engines.others]
    return {"systems": [{**describe(system), "active": system is active} for system in (active, *others)]}


@_router.get("/v1/config")
async def show_config(service: Owner) -> Facts:
    """What a page needs before it connects; `ice_servers` are the browser's `RTCIceServer`."""
    servers: list[Facts] = []
    for server in service.config.ice_servers:
        entry: dict[str, object] = {"urls": list(server.urls)}
        if server.username is not None:
            entry |= {"username": server.username, "credential": server.credential}
        servers.append(entry)
    return {
        "ice_servers": servers,
        "lookahead_ms": service.config.lookahead_ms,
        "max_photo_bytes": MAX_PHOTO_BYTES,
    }


@_router.get("/healthz")
async def is_alive() -> Facts:
    """Whether the process answers."""
    return {"status": "ok"}


@_router.get("/readyz")
async def is_ready(service: Owner) -> JSONResponse:
    """Whether a caller would get a face at once."""
    if service.failure is not None:
        return http_errors.error_json(503, "failed", f"the system could not be loaded: {service.failure}")
    if not service.ready:
        return http_errors.error_json(503, "not_ready", "the system is still being loaded", {"Retry-After": "2"})
    return JSONResponse({"status": "ready"})


@_router.get("/metrics", response_class=Response)
async def show_metrics(service: Owner) -> Response:
    """Counters for Prometheus."""
    return Response(await service.metrics_text(), media_type=metrics.CONTENT_TYPE)


def _identity_json(identity: Identity) -> Facts:
    return {
        "id": identity.id,
        "name": identity.name,
        "demo": identity.demo,
        "photo": f"/v1/identities/{identity.id}/photo",
    }


class _Page(Mount):
    """The page, which must not hide that an address of the API knows a method not."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] == "http" and scope["path"].startswith("/v1/"):
            return Match.NONE, {}
        return super().matches(scope)


class _PageFiles(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["cache-control"] = "no-cache"  # asks again each time; unchanged files cost a 304
        return response
