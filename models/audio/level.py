"""Level policies: which factor a front end puts on its sound, decided without knowing what comes later."""

import math
from typing import ClassVar, Final, Protocol

import torch
from torch import Tensor

TARGET_RMS: Final = 0.1
QUIETEST_CLIP_RMS: Final = 1e-4


class Level(Protocol):
    """A named rule that gives the factor for a window from the sound up to that window's end."""

    name: ClassVar[str]

    def init_memory(self, batch: int) -> Tensor:
        """What the rule knows of streams that have not begun, [B, K], float64; a row resets by copying it."""
        ...

    def gains(self, hop_power: Tensor, live: Tensor, memory: Tensor) -> Tensor:
        """Factors for the next windows.

        Args:
            hop_power: Mean square of the newest hop of each window, [B, H], float64; H is 1 or more.
            live: Which windows exist, [B, H], bool; the others change nothing.
            memory: As of `init_memory`; moves on in place.

        Returns:
            Factors on the samples, [B, H], float64.
        """
        ...


class FixedGain:
    """`fixed`: one factor for ever."""

    name: ClassVar[str] = "fixed"

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def init_memory(self, batch: int) -> Tensor:
        return torch.zeros(batch, 0, dtype=torch.float64)

    def gains(self, hop_power: Tensor, live: Tensor, memory: Tensor) -> Tensor:
        return torch.full_like(hop_power, self.gain)


class RunningRms:
    """`running_rms`: brings the voice heard so far to an RMS of 0.1, as PC-AVS does with the whole clip.

    The mean square forgets exponentially and counts only hops over a gate, so that a pause neither turns the gain up
    nor lets the voice before it be forgotten. It starts as if 50 ms at the target had been heard, so that the soft
    onset of the first word is not blown up; a voice 20 dB below the target is within 0.6 dB of its level after 6 s.
    """

    name: ClassVar[str] = "running_rms"

    def __init__(self, hop_s: float, *, memory_s: float = 2.0, start_s: float = 0.05, gate_db: float = -56.0) -> None:
        """Set the rule.

        Args:
            hop_s: Time from one window to the next.
            memory_s: Time constant, in seconds of voice.
            start_s: Weight of the target as a prior, in seconds of voice.
            gate_db: Level of a hop, dB of full scale (mean square), below which it is no voice.
        """
        self.keep = math.exp(-hop_s / memory_s)
        self.start_hops = start_s / hop_s
        self.gate_power = 10.0 ** (gate_db / 10.0)

    def init_memory(self, batch: int) -> Tensor:
        """[B, 2]: the decayed sum of the mean squares, and of their weights."""
        return torch.tensor([[TARGET_RMS**2, 1.0]], dtype=torch.float64).repeat(batch, 1) * self.start_hops

    def gains(self, hop_power: Tensor, live: Tensor, memory: Tensor) -> Tensor:
        heard = torch.stack([hop_power, torch.ones_like(hop_power)], dim=-1)  # [B, H, 2]
        voice = (live & (hop_power > self.gate_power))[..., None]
        means: list[Tensor] = []
        for hop in range(hop_power.shape[1]):
            memory.copy_(torch.where(voice[:, hop], self.keep * memory + heard[:, hop], memory))
            means.append(memory[:, 0] / memory[:, 1])
        return TARGET_RMS / torch.stack(means, dim=1).sqrt()


def clip_gain(samples: Tensor) -> float:
    """The published factor of PC-AVS, which needs the whole clip: 0.1 over its RMS, at most 1000.

    `LwsMel80(FixedGain(clip_gain(samples)))` is the published front end, for parity and for training on whole clips.

    Args:
        samples: One clip, [n], -1 to 1.

    Source:
        PC-AVS, `config/AudioConfig.py`, `audio_normalize`.
    """
    rms = float(samples.double().square().mean().sqrt())
    return TARGET_RMS / max(QUIETEST_CLIP_RMS, rms)
