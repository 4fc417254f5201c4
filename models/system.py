"""The seam between faces and the stream: everything that can draw a face is a `System`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from models.canvas import Canvas
from models.errors import IdentityError
from models.framing import Framing

FPS = 25
FRAME_MS = 40
SAMPLE_RATE_HZ = 16_000

_CANVAS: Final = "canvas"


@dataclass(frozen=True)
class IdentityState:
    """Everything about one person that depends on the photo alone, computed once.

    Attributes:
        system: Name of the system that made it.
        version: That system's identity format.
        tensors: One identity's features, no batch dimension; names and shapes are the system's own.
        canvas: What the frame is pasted into in framing `photo`; None in framing `head`.
    """

    system: str
    version: int
    tensors: dict[str, Tensor]
    canvas: Canvas | None = None

    @property
    def framing(self) -> Framing:
        """What its pictures show."""
        return "head" if self.canvas is None else "photo"

    def save(self, path: Path) -> None:
        """Write a safetensors file; system, version and the frame's place in the canvas go into its metadata."""
        metadata = {"system": self.system, "version": str(self.version)}
        tensors = {name: t.contiguous() for name, t in self.tensors.items()}
        if self.canvas is not None:
            tensors[_CANVAS] = self.canvas.rgb.contiguous()
            metadata[_CANVAS] = " ".join(map(str, self.canvas.corner))
        save_file(tensors, path, metadata)

    @classmethod
    def load(cls, path: Path) -> "IdentityState":
        """Read what `save` wrote.

        Raises:
            IdentityError: If the file is no identity.
        """
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if "system" not in metadata or "version" not in metadata:
                raise IdentityError("a file without system and version", "one that `visavis enroll` wrote")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        canvas = None
        if _CANVAS in metadata:
            x, y = map(int, metadata[_CANVAS].split())
            canvas = Canvas(tensors.pop(_CANVAS), (x, y))
        return cls(metadata["system"], int(metadata["version"]), tensors, canvas)

    @property
    def bytes(self) -> int:
        """Memory that the tensors and the canvas take."""
        features = sum(t.numel() * t.element_size() for t in self.tensors.values())
        return features + (0 if self.canvas is None else self.canvas.bytes)


@dataclass(frozen=True)
class AudioFeatures:
    """What the front end gives for one frame of each stream in the batch.

    Attributes:
        values: Rows of this frame, oldest first, [B, rows, bands], float32. For `log_mel80` the new ones: [B, 4, 80],
            the four 10 ms hops that end at media time `40 * f + lookahead_ms`. For the front ends of the published
            systems the whole window of the frame: [B, 20, 12] for `mfcc12`, [B, 20, 80] for `lws_mel80`, [B, 16, 80]
            for `wav2lip_mel80`, [B, 1024, 128] for `kaldi_fbank128`.
        lookahead_ms: How far the newest hop lies ahead of the frame, [B], float32, one of the system's.
    """

    values: Tensor
    lookahead_ms: Tensor


@dataclass(frozen=True)
class ControlBatch:
    """What drives the face besides the voice, a row per stream.

    Attributes:
        values: Control vectors (see `models.rig`), [B, K], float32: the control channel plus idle life. Added to what
            the voice says; 0 is the person at rest, lips closed, in the photo's own pose and gaze.
        lip_gain: Factor on all that the voice moves, [B], float32, 0 (closed: the VAD's gate) to 2.
    """

    values: Tensor
    lip_gain: Tensor


class StreamState(Protocol):
    """What one batch of streams remembers; a row per stream."""

    def reset(self, rows: Tensor) -> None:
        """Forget the streams where `rows` [B] (bool) is true, in place."""
        ...


class Facts(Protocol):
    """What a system needs and what it can obey: all that a stream must know of it."""

    @property
    def name(self) -> str:
        """Short name, as in `--system`."""
        ...

    @property
    def front_end(self) -> str:
        """Name of the audio front end that makes `AudioFeatures.values` (see `models.audio`)."""
        ...

    @property
    def lookahead_ms(self) -> tuple[int, ...]:
        """Look-aheads that the system was trained for, in rising order."""
        ...

    @property
    def frame_px(self) -> int:
        """Side of the square frame."""
        ...

    @property
    def controls(self) -> frozenset[str]:
        """The rig controls that the system obeys; it ignores the others."""
        ...


@dataclass(frozen=True)
class KnownFacts:
    """`Facts` of a system that is not here."""

    name: str
    front_end: str
    lookahead_ms: tuple[int, ...]
    frame_px: int
    controls: frozenset[str]


class System(Facts, Protocol):
    """Draws a face from cached identity features and a voice, one frame at a time."""

    @property
    def identity_version(self) -> int:
        """Version of what `enroll` returns; goes up whenever features computed earlier no longer fit (new weights)."""
        ...

    def enroll(self, photo: NDArray[np.uint8], framing: Framing = "head") -> IdentityState:
        """Compute everything that depends on the photo alone.

        Args:
            photo: RGB, [H, W, 3], uint8, upright (EXIF applied).
            framing: With `photo` the identity has a canvas, and its frames stand still at their edges.

        Raises:
            PhotoError: If the photo cannot be used; its text tells a person what to do.
        """
        ...

    def init_state(self, batch: int) -> StreamState:
        """A fresh memory for `batch` streams, as after silence."""
        ...

    def step(
        self, identities: list[IdentityState], features: AudioFeatures, controls: ControlBatch, state: StreamState
    ) -> Tensor:
        """Draw the next frame of each stream.

        Returns:
            Frames, [B, 3, frame_px, frame_px], float32, -1 (black) to 1 (white), sRGB. `state` moves on in place.
        """
        ...


@runtime_checkable
class Posed(Protocol):
    """A `System` whose pictures follow from the person and a few numbers alone: what need not be drawn twice.

    Its `step` is `draw` of `pose`.
    """

    @property
    def unseen(self) -> Tensor:
        """How far each number may move before anyone sees it, [M], float32, above 0."""
        ...

    def pose(self, features: AudioFeatures, controls: ControlBatch, state: StreamState) -> Tensor:
        """What to draw of each stream's next frame, [B, M], float32. `state` moves on in place."""
        ...

    def draw(self, identities: list[IdentityState], poses: Tensor) -> Tensor:
        """Draw each identity in its pose: frames as of `System.step`."""
        ...
