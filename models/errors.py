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
├── ResumeError       a checkpoint of a training run with other settings
├── DamagedRunError   a checkpoint of a training run that cannot be read
├── DivergedError     a training whose loss is no number any more
├── MissingWeightsError  a system that nobody has trained or converted here
└── MissingPackageError   training needs a package that is not installed
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
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


class ResumeError(ModelError, ValueError):
    """A checkpoint was made by a run with other settings."""

    def __init__(self, checkpoint: Path, differing: Sequence[str]) -> None:
        self.checkpoint = checkpoint
        self.differing = tuple(differing)

    def __str__(self) -> str:
        return (
            f"got {self.checkpoint} of a run with another {', '.join(self.differing)}, want the same settings: "
            "give the old ones, or another --out"
        )


class DamagedRunError(ModelError, ValueError):
    """The checkpoint of a training run cannot be read."""

    def __init__(self, checkpoint: Path) -> None:
        self.checkpoint = checkpoint

    def __str__(self) -> str:
        return (
            f"got {self.checkpoint}, which is cut short, damaged or no checkpoint of ours: put a good copy there, or "
            "remove it to begin anew"
        )


class DivergedError(ModelError, ArithmeticError):
    """A training has run into numbers that are none."""

    def __init__(self, stage: str, step: int, losses: Mapping[str, float]) -> None:
        self.stage = stage
        self.step = step
        self.losses = dict(losses)

    def __str__(self) -> str:
        told = ", ".join(f"{name} {value:.3g}" for name, value in self.losses.items())
        return (
            f"the loss of stage {self.stage} is no number any more at step {self.step} ({told}): start again with a "
            "smaller --rate; the last checkpoint and weights are those of before"
        )


class MissingWeightsError(ModelError, LookupError):
    """A system has no weights here."""

    def __init__(self, system: str, *, published: bool) -> None:
        self.system = system
        self.published = published

    def __str__(self) -> str:
        convert = f"convert published ones by `visavis convert --system {self.system}`" if self.published else ""
        ways = f"train them by `visavis train --system {self.system}`" + (f" or {convert}" if convert else "")
        return f"system {self.system} has no weights here: {ways}, and give the file by --weights PATH"


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
