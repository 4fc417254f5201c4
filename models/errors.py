"""Every error that `models` raises on purpose.

ModelError
├── ControlError      a control name or value nobody knows
├── EmotionError      an emotion nobody knows
├── PhotoError        a photo that cannot be enrolled; `reason` says why, for programs
├── IdentityError     a saved identity that does not fit this system or version
├── CheckpointError   published weights that are damaged, unsafe or of another system
├── UnknownSystemError
├── SoundShapeError   samples that are not a row for each stream
├── EmptySheetError   a contact sheet with nothing on it
├── BackendError      a backend or precision that cannot work on this machine
└── MissingPackageError   training needs a package that is not installed
"""

from typing import Literal

PhotoReason = Literal[
    "not_an_image",
    "too_large",
    "too_small",
    "no_face",
    "several_faces",
    "turned_away",
    "dark",
    "eyes_covered",
    "mouth_covered",
    "blurred",
    "drawn",
]


class ModelError(Exception):
    """Something a caller of `models` can act on."""


class ControlError(ModelError, ValueError):
    """A control has a name that the rig lacks or a value that is not a finite number."""

    def __init__(self, name: str, value: object) -> None:
        self.name = name
        self.value = value

    def __str__(self) -> str:
        return (
            f"got control {self.name!r} = {self.value!r}, want one of the names in models.rig.CONTROLS with a finite "
            "number: GET /v1/systems lists them"
        )


class EmotionError(ModelError, ValueError):
    """No emotion has this name."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        self.name = name
        self.known = known

    def __str__(self) -> str:
        return f"got emotion {self.name!r}, want one of: {', '.join(self.known)}"


class PhotoError(ModelError, ValueError):
    """A photo cannot be enrolled. `reason` is for programs, the text tells a person what to do."""

    def __init__(self, reason: PhotoReason, advice: str) -> None:
        self.reason: PhotoReason = reason
        self.advice = advice

    def __str__(self) -> str:
        return self.advice


class IdentityError(ModelError, ValueError):
    """A saved identity was made by another system or version."""

    def __init__(self, got: str, want: str) -> None:
        self.got = got
        self.want = want

    def __str__(self) -> str:
        return f"got an identity of {self.got}, want {self.want}: enrol the photo again"


class CheckpointError(ModelError, ValueError):
    """A file of published weights cannot be read, would run code, or belongs to another system."""

    def __init__(self, got: str, want: str) -> None:
        self.got = got
        self.want = want

    def __str__(self) -> str:
        return f"got {self.got}, want {self.want}: download the checkpoint again or name the system that it is of"


class UnknownSystemError(ModelError, ValueError):
    """No system has this name."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        self.name = name
        self.known = known

    def __str__(self) -> str:
        return f"got system {self.name!r}, want one of: {', '.join(self.known)}"


class SoundShapeError(ModelError, ValueError):
    """A front end was given samples that are not a row for each of its streams."""

    def __init__(self, got: tuple[int, ...], streams: int) -> None:
        self.got = got
        self.streams = streams

    def __str__(self) -> str:
        return f"got samples of shape {list(self.got)}, want [{self.streams}, n]: mono at 16 kHz, a row per stream"


class EmptySheetError(ModelError, LookupError):
    """No part of the corpus answers what a contact sheet was asked to show."""

    def __str__(self) -> str:
        return "got nothing to show: there are fewer items than --first passes over, or none with the fate of --only"


class MissingPackageError(ModelError, ImportError):
    """Training needs a package that is not installed."""

    def __init__(self, package: str, advice: str) -> None:
        self.package = package
        self.advice = advice

    def __str__(self) -> str:
        return f"the package {self.package} is not installed; {self.advice}"


class BackendError(ModelError, RuntimeError):
    """A backend or a precision that does not exist or cannot work on this machine."""

    def __init__(self, got: str, want: str, remedy: str) -> None:
        self.got = got
        self.want = want
        self.remedy = remedy

    def __str__(self) -> str:
        return f"got {self.got}, want {self.want}: {self.remedy}"
