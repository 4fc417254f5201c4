"""Voice features to I420 picture: `System.step`, which renders and composites, then the conversion."""

from collections.abc import Sequence
from itertools import cycle
from typing import Final

import numpy as np
import torch
from torch import Tensor

from benchmarks.errors import WrongAnswerError
from benchmarks.faces import demo_photos
from benchmarks.harness import Row, latency, latency_row, stopwatch
from kernels.i420 import rgb_to_i420
from models.audio import LogMel
from models.rig import CONTROLS, vector
from models.system import AudioFeatures, ControlBatch, IdentityState
from models.visavis.system import Visavis
from stream.probe_sound import RATE_HZ, syllable_clips

LIMIT_MS: Final = 20.0
MOST_LEVELS_APART: Final = 3.0
LOOKAHEAD_MS: Final = 40.0


def run(n: int = 300) -> list[Row]:
    """Rows of `n` frames each.

    Raises:
        WrongAnswerError: If OpenVINO draws something else than torch: nothing is timed.
    """
    torch.set_num_threads(1)  # as the server's model worker does: two pools of threads would fight for the cores
    reference, fast = Visavis.load("eager"), Visavis.load("openvino")
    identity = reference.enroll(demo_photos()[0])
    features = _voice()
    apart = _levels_apart(reference, fast, identity, features)
    if apart > MOST_LEVELS_APART:
        raise WrongAnswerError("OpenVINO's picture", apart, MOST_LEVELS_APART)
    rows: list[Row] = []
    for name, system in (("openvino", fast), ("torch eager", reference)):
        step_ms, i420_ms = _time(system, identity, features, n)
        whole = latency([a + b for a, b in zip(step_ms, i420_ms, strict=True)])
        rows += [
            latency_row("render", f"{name}: step + I420, 256 px", whole, LIMIT_MS if system is fast else None),
            latency_row("render", f"{name}: System.step", latency(step_ms)),
            latency_row("render", f"{name}: RGB to I420", latency(i420_ms)),
        ]
    return rows


def _time(
    system: Visavis, identity: IdentityState, features: Sequence[AudioFeatures], n: int
) -> tuple[list[float], list[float]]:
    """Milliseconds of each step and of each conversion, after ten that are not counted."""
    state = system.init_state(1)
    step_ms: list[float] = []
    i420_ms: list[float] = []
    for frame, heard in zip(range(n + 10), cycle(features), strict=False):
        controls = ControlBatch(vector({"headYaw": 8 * float(np.sin(frame / 9))})[None], torch.ones(1))
        with stopwatch(step_ms):
            rgb = system.step([identity], heard, controls, state)
        with stopwatch(i420_ms):
            rgb_to_i420(rgb)
    return step_ms[10:], i420_ms[10:]


def _levels_apart(one: Visavis, other: Visavis, identity: IdentityState, features: Sequence[AudioFeatures]) -> float:
    """Largest difference of a colour in 50 frames of speech, in levels of 255."""
    states = one.init_state(1), other.init_state(1)
    controls = ControlBatch(torch.zeros(1, len(CONTROLS)), torch.ones(1))
    apart = 0.0
    for heard in features[:50]:
        a = one.step([identity], heard, controls, states[0])
        b = other.step([identity], heard, controls, states[1])
        apart = max(apart, float((a - b).abs().max()) * 127.5)
    return apart


def _voice() -> list[AudioFeatures]:
    """Features of made-up syllables, a row per frame."""
    sound = np.concatenate([clip.samples for clip in syllable_clips(12)])
    at_16_khz = sound.reshape(-1)[: len(sound) // 3 * 3].reshape(-1, 3).mean(axis=1).astype(np.float32)
    assert RATE_HZ == 3 * 16_000
    hops = torch.from_numpy(LogMel().push(at_16_khz))
    frames: list[Tensor] = [hops[i : i + 4] for i in range(0, len(hops) - 3, 4)]
    return [AudioFeatures(values[None], torch.tensor([LOOKAHEAD_MS])) for values in frames]
