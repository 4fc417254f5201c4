"""From a due frame to VP8 payloads, on the model thread."""

import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.system import FRAME_MS, IdentityState
from stream.compose import Composer
from stream.drive import Drive
from stream.targets import ControlUpdate
from stream.vp8 import Vp8Encoder


@dataclass(frozen=True)
class DueMark:
    """A frame whose sound is complete.

    Attributes:
        frame: Its number.
        lookahead_ms: Used for it.
        sound_end: The 16 kHz sample before which its sound ends.
        received_s: When the last of that sound came in, on the monotonic clock.
        ready_s: When it was decoded.
    """

    frame: int
    lookahead_ms: int
    sound_end: int
    received_s: float
    ready_s: float

    @property
    def deadline_s(self) -> float:
        """When the next frame is due."""
        return self.ready_s + FRAME_MS / 1000.0


@dataclass
class Orders:
    """What came over the control channel since the last frame."""

    updates: list[ControlUpdate] = field(default_factory=list[ControlUpdate])
    identity: tuple[str, IdentityState] | None = None
    interrupt: bool = False


@dataclass(frozen=True)
class Drawn:
    """An encoded frame, and when each of its stages ended (names of `STAGES`)."""

    payloads: list[bytes]
    stamps_s: dict[str, float]


class Face:
    """One stream's drive, composer and encoder.

    Its methods but `heard_samples` run on the model thread, one at a time.
    """

    def __init__(self, drive: Drive, encoder: Vp8Encoder) -> None:
        self._drive = drive
        self._composer = Composer()
        self._encoder = encoder

    @property
    def heard_samples(self) -> int:
        """How much sound the drive has heard, at 16 kHz. Read it while no `draw` runs."""
        return self._drive.heard_samples

    def draw(
        self, due: DueMark, samples: NDArray[np.float32], orders: Orders, *, key: bool, bitrate: int
    ) -> Drawn | None:
        """Draw and encode one frame.

        Args:
            due: Which.
            samples: The sound since the last call, up to `due.sound_end`.
            orders: Obeyed first.
            key: Make it a key frame.
            bitrate: What the network is believed to carry, bits per second; 0 if not known.

        Returns:
            None if there was no frame to draw.
        """
        stamps_s = {"receive": due.ready_s, "queue": time.monotonic()}
        self._obey(orders)
        self._drive.lookahead_ms = due.lookahead_ms
        frames = self._drive.push(samples)
        if not frames:
            return None
        stamps_s["features"] = time.monotonic()
        rgb = self._drive.draw(frames[-1])
        stamps_s["render"] = time.monotonic()
        i420 = self._composer.i420(rgb, self._drive.identity.canvas)
        stamps_s["convert"] = time.monotonic()
        if bitrate:
            self._encoder.target_bitrate = bitrate
        payloads = self._encoder.encode(i420, due.frame, key=key)
        stamps_s["encode"] = time.monotonic()
        return Drawn(payloads, stamps_s)

    def _obey(self, orders: Orders) -> None:
        for update in orders.updates:
            self._drive.targets.update(update)
        if orders.identity is not None:
            self._drive.identity = orders.identity[1]
        if orders.interrupt:
            self._drive.gate.interrupt()
