"""Voice to rig: a small causal net from log-mel hops to the controls that speech moves, one frame at a time.

The net hears the sound up to `lookahead_ms` after the frame that it shows. Every 40 ms of sound is embedded once and
put where it lies relative to the frame, in a window from 280 ms before to 200 ms after it; what is not heard yet is 0.
So one set of weights serves every look-ahead, and more of it lets the lips close before a p, b or m sounds, as lips do.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from models.audio.log_mel import BANDS, HOPS_PER_FRAME
from models.rig import SPEECH
from models.system import FRAME_MS, AudioFeatures

WEIGHTS: Final = Path(__file__).parent / "weights" / "speech.safetensors"
LOOKAHEADS_MS: Final = (0, 40, 80, 120, 200)
"""Look-aheads that are measured; any value from 0 to 200 works."""
MAX_LOOKAHEAD_MS: Final = 200.0
_AHEAD: Final = 5  # places in the window after the frame: the longest look-ahead
_PLACES: Final = 12
_CODE: Final = 4


@dataclass(slots=True)
class SpeechState:
    """What the net remembers of each stream; zeros are the state of a new stream.

    Attributes:
        heard: Embeddings of the last stretches of 40 ms, oldest first, [B, PLACES - 1, EMBEDDING], float32.
        hidden: Recurrent state, [B, HIDDEN], float32.
        voice: How surely the newest frame is speech, [B], float32, 0 to 1. An output, for idle life and meters.
    """

    heard: Tensor
    hidden: Tensor
    voice: Tensor

    def reset(self, rows: Tensor) -> None:
        """Forget the streams where `rows` [B] (bool) is true. In place: CUDA-graph safe."""
        self.heard.masked_fill_(rows[:, None, None], 0.0)
        self.hidden.masked_fill_(rows[:, None], 0.0)
        self.voice.masked_fill_(rows, 0.0)

    def follow(self, voice: Tensor, heard: Tensor, hidden: Tensor) -> None:
        """Take over what a step gave, in place."""
        self.voice.copy_(voice)
        self.heard.copy_(heard)
        self.hidden.copy_(hidden)


class SpeechNet(nn.Module):
    """Log-mel hops to speech controls: convolutions along frequency, a window around the frame, a GRU, a gated head.

    The gate is the net's own belief that somebody speaks. Below a belief of `GATE_SHUT` the controls are exactly 0, so
    lips do not tremble in room noise.
    """

    EMBEDDING: Final = 64
    HIDDEN: Final = 96
    GATE_SHUT: Final = 0.35
    GATE_OPEN: Final = 0.7
    TYPICAL: Final = 0.2
    """What an output of 1 of the last layer means in control units."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Sequential(
            nn.Conv1d(HOPS_PER_FRAME + 1, 16, 5, stride=2, padding=2),
            nn.SiLU(),
            nn.Conv1d(16, 24, 5, stride=2, padding=2),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(24 * BANDS // 4, self.EMBEDDING),
            nn.LayerNorm(self.EMBEDDING),
            nn.SiLU(),
        )
        self.window = nn.Sequential(nn.Linear(_PLACES * self.EMBEDDING + _CODE, 160), nn.SiLU())
        self.memory = nn.GRU(160, self.HIDDEN, batch_first=True)
        self.head = nn.Sequential(nn.Linear(160 + self.HIDDEN, 96), nn.SiLU(), nn.Linear(96, len(SPEECH) + 1))

    @classmethod
    def load(cls, path: Path = WEIGHTS) -> "SpeechNet":
        """The net with the bundled weights (or those in `path`), in float32, ready to run.

        Raises:
            FileNotFoundError: If there is no such file.
        """
        net = cls()
        net.load_state_dict(load_file(path))
        return net.eval().requires_grad_(False)

    def init_state(self, batch: int) -> SpeechState:
        """A fresh memory for `batch` streams."""
        device = next(self.parameters()).device
        return SpeechState(
            torch.zeros(batch, _PLACES - 1, self.EMBEDDING, device=device),
            torch.zeros(batch, self.HIDDEN, device=device),
            torch.zeros(batch, device=device),
        )

    def step(self, features: AudioFeatures, state: SpeechState) -> Tensor:
        """Controls of the frame whose newest hop lies `features.lookahead_ms` ahead of it.

        Args:
            features: `log_mel80` hops, values [B, 4, 80], lookahead_ms [B] (0 to 200).
            state: Moves on in place; `state.voice` is the belief that this frame is speech.

        Returns:
            Values of `rig.SPEECH`, [B, 19], float32, 0 to 1; all 0 is the person at rest with lips closed.
        """
        controls, *memory = self.advance(features.values, features.lookahead_ms, state.heard, state.hidden)
        state.follow(*(part.detach() for part in memory))
        return controls

    def advance(self, values: Tensor, lookahead_ms: Tensor, heard: Tensor, hidden: Tensor) -> tuple[Tensor, ...]:
        """`step` without side effects: hops [B, 4, 80], look-ahead [B] and the state's tensors to controls [B, 19],
        belief in speech [B] and the new state's tensors."""
        controls, voice, heard, hidden = self._run(values[:, None], lookahead_ms, heard, hidden)
        return controls[:, 0], voice[:, 0], heard, hidden

    def forward(self, values: Tensor, lookahead_ms: Tensor) -> tuple[Tensor, Tensor]:
        """Whole clips: hops [B, F, 4, 80] and look-ahead [B] to controls [B, F, 19] and belief in speech [B, F]."""
        fresh = self.init_state(values.shape[0])
        return self._run(values, lookahead_ms, fresh.heard, fresh.hidden)[:2]

    def _run(
        self, values: Tensor, lookahead_ms: Tensor, heard: Tensor, hidden: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        batch, frames = values.shape[:2]
        new = self.embed(_level_apart(values.flatten(0, 1))).view(batch, frames, -1)
        heard = torch.cat([heard, new], 1)  # [B, PLACES - 1 + F, EMBEDDING]
        newest = (lookahead_ms / FRAME_MS).round().clamp(0, _AHEAD)  # its place after the frame, [B]
        around = self._place(heard, newest.long(), frames)
        code = _lookahead_code(lookahead_ms, newest)[:, None].expand(batch, frames, _CODE)
        seen = self.window(torch.cat([around, code], -1))
        remembered, final = self._recall(seen, hidden)
        out = self.head(torch.cat([seen, remembered], -1))  # [B, F, 19 + 1]
        voice = torch.sigmoid(out[..., -1])
        gate = ((voice - self.GATE_SHUT) / (self.GATE_OPEN - self.GATE_SHUT)).clamp(0.0, 1.0).detach()
        return gate[..., None] * _within_limits(out[..., :-1] * self.TYPICAL), voice, heard[:, frames:], final

    def _recall(self, seen: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """`memory` over frames [B, F, 160] from a state [B, HIDDEN]: its outputs [B, F, HIDDEN] and the last one.

        One frame goes by the equations of `nn.GRU`, since torch.compile takes no recurrent module.
        """
        if seen.shape[1] > 1:
            remembered, final = self.memory(seen, hidden[None])
            return remembered, final[0]
        weight_new, weight_old, bias_new, bias_old = self.memory.all_weights[0]
        new, old = F.linear(seen[:, 0], weight_new, bias_new), F.linear(hidden, weight_old, bias_old)
        new_reset, new_update, new_state = new.chunk(3, 1)
        old_reset, old_update, old_state = old.chunk(3, 1)
        update = torch.sigmoid(new_update + old_update)
        state = torch.tanh(new_state + torch.sigmoid(new_reset + old_reset) * old_state)
        state = state + update * (hidden - state)
        return state[:, None], state

    @staticmethod
    def _place(heard: Tensor, newest: Tensor, frames: int) -> Tensor:
        """The window of each frame, [B, F, PLACES * EMBEDDING]: places ahead of the newest stretch are 0."""
        place = torch.arange(_PLACES, device=heard.device) - (_PLACES - 1 - _AHEAD)  # -6 ... 5, 0 ends at the frame
        back = newest[:, None] - place  # [B, PLACES]: how many stretches before the newest one
        index = torch.arange(frames, device=heard.device)[:, None] + _PLACES - 1 - back[:, None].clamp(0, _PLACES - 1)
        rows = torch.arange(heard.shape[0], device=heard.device)[:, None, None]
        known = ((back >= 0) & (back < _PLACES)).to(heard.dtype)
        return (heard[rows, index] * known[:, None, :, None]).flatten(2)


def _level_apart(values: Tensor) -> Tensor:
    """Hops [N, 4, 80] to [N, 5, 80]: the spectrum without its level, and the level, which is all that gain moves."""
    level = values.mean((1, 2), keepdim=True)
    return torch.cat([values - level, (level - 1.0).expand(-1, 1, BANDS)], 1)


def _within_limits(raw: Tensor) -> Tensor:
    """Clamped to 0..1, with the gradient of the identity: a control that rests at 0 can still learn to move."""
    return raw + (raw.clamp(0.0, 1.0) - raw).detach()


def _lookahead_code(lookahead_ms: Tensor, newest: Tensor) -> Tensor:
    """The look-ahead as smooth numbers, [B] to [B, 4]; the last is what rounding to a place left over."""
    share = lookahead_ms / MAX_LOOKAHEAD_MS
    left = lookahead_ms / FRAME_MS - newest
    return torch.stack([share * 2 - 1, torch.cos(torch.pi * share * 1.5), torch.cos(torch.pi * share * 3), left], -1)


class SpeechStep(nn.Module):
    """`SpeechNet.advance` as a module, for export."""

    def __init__(self, net: SpeechNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, values: Tensor, lookahead_ms: Tensor, heard: Tensor, hidden: Tensor) -> tuple[Tensor, ...]:
        """See `SpeechNet.advance`."""
        return self.net.advance(values, lookahead_ms, heard, hidden)
