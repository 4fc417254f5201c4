"""Every error that `stream` raises on purpose.

StreamError
├── OfferError          an SDP offer that cannot become a session; `reason` says why, for programs
├── MessageError        a data-channel message of the wrong type
├── AiortcMovedError    aiortc no longer has an attribute that an adapter hooks
└── WorkerClosedError   work was given to a model worker that has stopped
"""

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
