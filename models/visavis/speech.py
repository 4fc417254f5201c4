"""Voice to rig: a small causal net from log-mel hops to the controls that speech moves, one frame at a time.

The net hears the sound up to `lookahead_ms` after the frame that it shows. The look-ahead is an input, so one set of
weights serves every setting of the dial: more of it lets the lips close before the sound of a p, b or m, as lips do.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from models.audio.log_mel import BANDS, HOPS_PER_FRAME
from models.rig import SPEECH
from models.system import AudioFeatures

WEIGHTS: Final = Path(__file__).parent / "weights" / "speech.safetensors"
LOOKAHEADS_MS: Final = (0, 40, 80, 120, 200)
"""Look-aheads that are measured; any value between works."""
MAX_LOOKAHEAD_MS: Final = 200.0


@dataclass(slots=True)
class SpeechState:
    """What the net remembers of each stream; zeros are the state after silence.

    Attributes:
        hidden: Recurrent state, [LAYERS, B, HIDDEN], float32.
        voice: How surely the newest frame is speech, [B], float32, 0 to 1. An output, for idle life and meters.
    """

    hidden: Tensor
    voice: Tensor

    def reset(self, rows: Tensor) -> None:
        """Forget the streams where `rows` [B] (bool) is true. In place: CUDA-graph safe."""
        self.hidden.masked_fill_(rows[None, :, None], 0.0)
        self.voice.masked_fill_(rows, 0.0)


class SpeechNet(nn.Module):
    """Log-mel hops to speech controls: convolutions along frequency, two GRU layers, a gated head.

    The gate is the net's own belief that somebody speaks. Below a belief of `GATE_SHUT` the controls are exactly 0, so
    lips do not tremble in room noise.
    """

    HIDDEN: Final = 192
    LAYERS: Final = 2
    GATE_SHUT: Final = 0.2
    GATE_OPEN: Final = 0.6
    TYPICAL: Final = 0.2
    """What an output of 1 of the last layer means in control units."""

    def __init__(self) -> None:
        super().__init__()
        self.spectrum = nn.Sequential(
            nn.Conv1d(HOPS_PER_FRAME, 24, 5, stride=2, padding=2),
            nn.SiLU(),
            nn.Conv1d(24, 24, 5, stride=2, padding=2),
            nn.SiLU(),
            nn.Flatten(),
        )
        self.embed = nn.Sequential(nn.Linear(24 * BANDS // 4 + 3, 128), nn.LayerNorm(128), nn.SiLU())
        self.memory = nn.GRU(128, self.HIDDEN, self.LAYERS, batch_first=True)
        self.head = nn.Sequential(nn.Linear(self.HIDDEN + 3, 96), nn.SiLU(), nn.Linear(96, len(SPEECH) + 1))

    @classmethod
    def load(cls, path: Path = WEIGHTS) -> "SpeechNet":
        """The net with the bundled weights (or those in `path`), in float32, ready to run.

        Raises:
            FileNotFoundError: If there is no such file.
        """
        net = cls()
        net.load_state_dict({name: tensor.float() for name, tensor in load_file(path).items()})
        return net.eval().requires_grad_(False)

    def init_state(self, batch: int) -> SpeechState:
        """A fresh memory for `batch` streams, as after silence."""
        device = next(self.parameters()).device
        hidden = torch.zeros(self.LAYERS, batch, self.HIDDEN, device=device)
        return SpeechState(hidden, torch.zeros(batch, device=device))

    def step(self, features: AudioFeatures, state: SpeechState) -> Tensor:
        """Controls of the frame whose newest hop lies `features.lookahead_ms` ahead of it.

        Args:
            features: `log_mel80` hops, values [B, 4, 80], lookahead_ms [B] (0 to 200).
            state: Moves on in place; `state.voice` is the belief that this frame is speech.

        Returns:
            Values of `rig.SPEECH`, [B, 19], float32, 0 to 1; all 0 is the person at rest with lips closed.
        """
        controls, voice = self._run(features.values[:, None], features.lookahead_ms, state)
        state.voice.copy_(voice[:, 0].detach())
        return controls[:, 0]

    def forward(self, values: Tensor, lookahead_ms: Tensor) -> tuple[Tensor, Tensor]:
        """Whole clips: hops [B, F, 4, 80] and look-ahead [B] to controls [B, F, 19] and belief in speech [B, F]."""
        return self._run(values, lookahead_ms, self.init_state(values.shape[0]))

    def _run(self, values: Tensor, lookahead_ms: Tensor, state: SpeechState) -> tuple[Tensor, Tensor]:
        batch, frames = values.shape[:2]
        ahead = _lookahead_code(lookahead_ms)[:, None].expand(batch, frames, 3)
        heard = self.spectrum(values.flatten(0, 1) - 1.0).view(batch, frames, -1)
        remembered, hidden = self.memory(self.embed(torch.cat([heard, ahead], -1)), state.hidden.clone())
        state.hidden.copy_(hidden.detach())
        out = self.head(torch.cat([remembered, ahead], -1))  # [B, F, 19 + 1]
        voice = torch.sigmoid(out[..., -1])
        gate = ((voice - self.GATE_SHUT) / (self.GATE_OPEN - self.GATE_SHUT)).clamp(0.0, 1.0).detach()
        return gate[..., None] * _within_limits(out[..., :-1] * self.TYPICAL), voice


def _within_limits(raw: Tensor) -> Tensor:
    """Clamped to 0..1, with the gradient of the identity: a control that rests at 0 can still learn to move."""
    return raw + (raw.clamp(0.0, 1.0) - raw).detach()


def _lookahead_code(lookahead_ms: Tensor) -> Tensor:
    """The look-ahead as three smooth numbers, [B] to [B, 3]: linear, and two cosines for the short end."""
    share = lookahead_ms / MAX_LOOKAHEAD_MS
    return torch.stack([share * 2 - 1, torch.cos(torch.pi * share * 1.5), torch.cos(torch.pi * share * 3)], -1)
