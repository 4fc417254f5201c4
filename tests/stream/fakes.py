"""A face of one colour: as bright as the voice is loud. Small, exact, and fast enough to leave time for the rest."""

import threading
import time
from dataclasses import dataclass, field

import numpy as np
import torch

from models.rig import INDEX
from models.system import AudioFeatures, ControlBatch, IdentityState
from stream.vp8 import Vp8Encoder


@dataclass
class LoudnessState:
    frames: torch.Tensor  # [B], how many were drawn

    def reset(self, rows):
        self.frames.masked_fill_(rows, 0.0)


@dataclass
class Loudness:
    """Draws uniform frames: red is the mean feature times the lip gain, green the identity, blue the head's yaw."""

    name: str = "loudness"
    front_end: str = "log_mel80"
    lookahead_ms: tuple[int, ...] = (0, 40, 80, 120, 200)
    frame_px: int = 64
    controls: frozenset[str] = frozenset({"headYaw", "jawOpen"})
    step_s: float = 0.0
    threads: set[str] = field(default_factory=set)
    lookaheads: list[float] = field(default_factory=list)
    fail: bool = False
    level: float = 1.0
    entered: threading.Event = field(default_factory=threading.Event)
    hold: threading.Event | None = None

    def enroll(self, photo, framing="head"):
        return identity(float(photo.mean()) / 255.0)

    def init_state(self, batch):
        return LoudnessState(torch.zeros(batch))

    def step(self, identities: list[IdentityState], features: AudioFeatures, controls: ControlBatch, state):
        if self.fail:
            raise RuntimeError("the model has failed")
        self.entered.set()
        if self.hold is not None:
            self.hold.wait(20)
        if self.step_s:
            time.sleep(self.step_s)
        self.threads.add(threading.current_thread().name)
        self.lookaheads.append(float(features.lookahead_ms[0]))
        state.frames += 1
        red = features.values.mean(dim=(1, 2)).clamp(0, 1) * controls.lip_gain
        green = torch.stack([one.tensors["green"] for one in identities])
        blue = (controls.values[:, INDEX["headYaw"]] + 20) / 40
        rgb = torch.stack([red, green, blue], dim=1)[:, :, None, None].expand(-1, 3, self.frame_px, self.frame_px)
        return (rgb * 2 - 1) * self.level


def identity(green: float) -> IdentityState:
    return IdentityState("loudness", 1, {"green": torch.tensor(green)})


def tone(seconds: float, hz: float = 220.0, rate: int = 16_000, level: float = 0.3):
    t = np.arange(round(seconds * rate)) / rate
    return (level * np.sin(2 * np.pi * hz * t)).astype(np.float32)


class KeepingEncoder(Vp8Encoder):
    """The real one, which keeps the pixels that it shows."""

    def encode(self, i420, frame, *, key=False):
        if i420 is not None:
            self.pixels = i420.copy()
        return super().encode(i420, frame, key=key)
