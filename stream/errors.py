"""Every error that `stream` raises on purpose.

StreamError
├── OfferError          an SDP offer that cannot become a session; `reason` says why, for programs
├── FrontEndError       a system that needs features nobody here computes
├── MessageError        a data-channel message of the wrong type
├── AiortcMovedError    aiortc no longer has an attribute that an adapter hooks
├── WorkerClosedError   work was given to a model worker that has stopped
├── NotReadyError       the system is still being loaded
├── SystemFailedError   a system that a caller chose could not be loaded
├── EngineError         the engine's process failed in a way that only its log tells
├── LineVersionError    a gateway and an engine of two versions
├── ChildError          a process of the server could not begin
├── PlatformError       several processes cannot share a port here
├── SocketPathError     the engine's socket would have too long a path
├── BusyError           a limit is reached; `retry_after_s` says when to try again
├── DeviceFullError     the device has no memory left for another face
├── DeviceLostError     what the system draws on is gone
├── UnknownIdentityError
├── UnknownSessionError
├── AddressError        the server cannot listen where it was told to
├── SoundError          a file that holds no sound that can be read
├── MissingPartsError   training needs packages, programs or data that are not there
└── OtherRunError       a folder that holds a training run of another kind
"""

import os
from pathlib import Path
from typing import Literal

OfferReason = Literal["bad_type", "not_sdp", "too_large", "no_audio", "no_video", "no_opus", "no_vp8", "refused"]


class StreamError(Exception):
    """Something a caller of `stream` can act on."""


class OfferError(StreamError, ValueError):
    """An SDP offer cannot become a session. `reason` is for programs, `advice` for people."""

    def __init__(self, reason: OfferReason, advice: str) -> None:
        self.reason: OfferReason = reason
        self.advice = advice

    def __str__(self) -> str:
        return self.advice


class FrontEndError(StreamError, ValueError):
    """A system wants an audio front end that does not exist here."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        self.name = name
        self.known = known

    def __str__(self) -> str:
        return f"got a system with front end {self.name!r}, want one of: {', '.join(self.known)}"


class MessageError(StreamError, ValueError):
    """A message on the data channel has the wrong type or shape."""

    def __init__(self, got: str, want: str) -> None:
        self.got = got
        self.want = want

    def __str__(self) -> str:
        return f"got {self.got}, want {self.want}"


class AiortcMovedError(StreamError, RuntimeError):
    """aiortc's internals are not what the adapters were written for."""

    def __init__(self, owner: str, attribute: str) -> None:
        self.owner = owner
        self.attribute = attribute

    def __str__(self) -> str:
        return (
            f"aiortc's {self.owner} has no {self.attribute!r} of the expected type: install the aiortc version that "
            "pyproject.toml names, or adapt stream/receive.py and stream/send.py"
        )


class WorkerClosedError(StreamError, RuntimeError):
    """The model worker has stopped."""

    def __str__(self) -> str:
        return "got work for a model worker that has stopped: open the worker (`with ModelWorker() as worker`) first"


class NotReadyError(StreamError, RuntimeError):
    """The server has begun to listen, but its system is still being loaded."""

    retry_after_s = 2

    def __str__(self) -> str:
        return f"the system is still being loaded: try again in {self.retry_after_s} s, or wait for GET /readyz"


class SystemFailedError(StreamError, RuntimeError):
    """A system that a caller chose could not be loaded; the one that the server began with draws on."""

    def __init__(self, name: str, reason: Exception) -> None:
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return f"the system {self.name} could not be loaded ({self.reason}): choose another"


class EngineError(StreamError, RuntimeError):
    """The engine's process failed at what a gateway asked for, in a way that nobody foresaw."""

    def __init__(self, asked: str) -> None:
        self.asked = asked

    def __str__(self) -> str:
        return f"something broke in the engine ({self.asked}): the server's log says more"


class LineVersionError(StreamError, RuntimeError):
    """A gateway and an engine do not speak the same version of their messages."""

    def __init__(self, peer: str, got: object, want: int) -> None:
        self.peer = peer
        self.got = got
        self.want = want

    def __str__(self) -> str:
        return f"{self.peer} speaks version {self.got!r} of the engine's messages, want {self.want}: restart the server"


class ChildError(StreamError, RuntimeError):
    """A process of the server ended before it had begun."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return f"{self.name} could not begin: the lines above say why"


class PlatformError(StreamError, OSError):
    """The system lacks what several processes need to serve one port."""

    def __init__(self, lacks: str) -> None:
        self.lacks = lacks

    def __str__(self) -> str:
        return f"--gateways needs {self.lacks}, which Linux has: leave the option out, and one process does it all"


class SocketPathError(StreamError, OSError):
    """The path of the engine's socket is longer than Unix domain sockets allow."""

    def __init__(self, path: Path, limit: int) -> None:
        self.path = path
        self.limit = limit

    def __str__(self) -> str:
        got = f"{self.path} ({len(os.fsencode(self.path))} bytes)"
        return f"got {got} for the engine's socket, want at most {self.limit} bytes: set TMPDIR to a shorter folder"


class BusyError(StreamError, RuntimeError):
    """The server has as much to do as it was allowed to take."""

    def __init__(self, what: str, limit: int, retry_after_s: int) -> None:
        self.what = what
        self.limit = limit
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return f"all {self.limit} {self.what} are taken: try again in {self.retry_after_s} s"


class DeviceFullError(StreamError, RuntimeError):
    """The device has no memory left for another face; those that are drawn already go on."""

    retry_after_s = 5

    def __str__(self) -> str:
        return f"the device has no memory left for another face: try again in {self.retry_after_s} s"


class DeviceLostError(StreamError, RuntimeError):
    """What the system draws on is gone; `reason` is what it said last."""

    retry_after_s = 10

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __str__(self) -> str:
        return f"the device that draws the faces is gone ({self.reason}): the server loads its system anew, call again"


class UnknownIdentityError(StreamError, LookupError):
    """Nobody is enrolled under this id."""

    def __init__(self, identity_id: str) -> None:
        self.identity_id = identity_id

    def __str__(self) -> str:
        return f"got identity {self.identity_id!r}, want one that GET /v1/identities lists: upload its photo again"


class UnknownSessionError(StreamError, LookupError):
    """No session has this id, or it has ended."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id

    def __str__(self) -> str:
        return f"got session {self.session_id!r}, which never was or has ended: open a new one by POST /v1/sessions"


class AddressError(StreamError, OSError):
    """The server cannot listen where it was told to."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        self.host = host
        self.port = port
        self.reason = reason

    def __str__(self) -> str:
        return f"cannot listen on {self.host}:{self.port} ({self.reason}): choose another --host or --port"


class SoundError(StreamError, ValueError):
    """A file holds no sound that can be read."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"got {self.path} ({self.reason}), want a sound file such as WAV, FLAC, MP3, Opus or the sound of a video"
        )


class MissingPartsError(StreamError, RuntimeError):
    """Training needs packages, programs or data that are not there."""

    def __init__(self, parts: tuple[str, ...]) -> None:
        self.parts = parts

    def __str__(self) -> str:
        return f"training lacks {', '.join(self.parts)}: add them and start again; nothing was begun"


class OtherRunError(StreamError, RuntimeError):
    """A training run was told to go on where one of another kind has been."""

    def __init__(self, out: Path, *, asked_quick: bool) -> None:
        self.out = out
        self.asked_quick = asked_quick

    def __str__(self) -> str:
        there, asked = ("a full", "a quick") if self.asked_quick else ("a quick", "a full")
        return f"{self.out} holds {there} training run, and {asked} one was asked for: give another --out"


class StartedTwiceError(StreamError, RuntimeError):
    """`torchrun` started several processes of a training that starts its own."""

    def __init__(self, processes: int) -> None:
        self.processes = processes

    def __str__(self) -> str:
        return (
            f"got {self.processes} processes from torchrun, want one: start `visavis train` without torchrun, "
            "its renderers take all GPUs by themselves"
        )
