"""What the published audio front ends share: cutting streams of sound into windows, a batch at a time.

Sound is mono at 16 kHz, float32, full scale -1 to 1, already resampled. The arithmetic is float64: beside a strong
tone the quiet bands of a float32 transform are rounding noise above the published floors.
"""

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.audio.level import Level
from models.errors import SoundShapeError
from models.system import FRAME_MS, SAMPLE_RATE_HZ

FRAME_SAMPLES: Final = FRAME_MS * SAMPLE_RATE_HZ // 1000
SAMPLES_PER_MS: Final = SAMPLE_RATE_HZ // 1000
PIECE_SAMPLES: Final = 10 * SAMPLE_RATE_HZ  # whole recordings are heard in pieces: windows overlap up to eight times


@dataclass(frozen=True)
class Plan:
    """The numbers of a front end.

    Attributes:
        name: As in `System.front_end`.
        bands: Values in a row.
        window_samples: Sound that a row sees, with the sample before it where pre-emphasis needs one.
        hop_samples: From one row to the next.
        lead_samples: Digital silence before the first sample: row k sees `window_samples` from `hop_samples * k -
            lead_samples` on.
        trail_samples: Padding after the last sample of a recording.
        frame_rows: Rows that a system gets for one frame.
        frames_back: The published window of frame f begins with row `trunc(640 (f - frames_back) / hop_samples)`;
            None where the publication has no frames, and a window ends with the newest row.
        silence: Every value of a row of digital silence.
        before: Every value of a row that lies before the stream.
        repeats_first: Whether row 0 stands in for rows before the stream instead, once there is one.
    """

    name: str
    bands: int
    window_samples: int
    hop_samples: int
    lead_samples: int
    trail_samples: int
    frame_rows: int
    frames_back: int | None
    silence: float
    before: float
    repeats_first: bool = False

    @property
    def lookahead_ms(self) -> float:
        """Sound that the published window of a frame needs after the frame's media time 40 f."""
        if self.frames_back is None:
            return 0.0
        last = self.frame_rows - 1  # of frame `frames_back`, whose first row is 0
        return self._end(last) / SAMPLES_PER_MS - FRAME_MS * self.frames_back

    def complete_rows(self, heard_samples: int) -> int:
        """How many rows a stream has given after so many samples."""
        return max(0, (heard_samples + self.lead_samples - self.window_samples) // self.hop_samples + 1)

    def rows_of_frame(self, frame: int, lookahead_ms: int) -> NDArray[np.int64]:
        """Numbers of the rows that a frame gets, oldest first, [frame_rows]; negative ones lie before the stream.

        The published window if the sound up to `40 * frame + lookahead_ms` completes it; else the window moves back
        until it does. A look-ahead that is longer by whole frames gives the window of as many frames later.
        (`wav2lip_mel80` at 133 ms moves frames 0 and 1 of a stream by one row: the published start rounds towards
        zero, which there means forward.)
        """
        last = self.complete_rows(max(0, FRAME_SAMPLES * frame + SAMPLES_PER_MS * lookahead_ms)) - 1
        if self.frames_back is not None:
            later = max(0, math.floor((lookahead_ms - self.lookahead_ms) / FRAME_MS))
            first = math.trunc(FRAME_SAMPLES * (frame + later - self.frames_back) / self.hop_samples)
            last = min(last, first + self.frame_rows - 1)
        numbers = np.arange(last - self.frame_rows + 1, last + 1)
        return np.maximum(numbers, 0) if self.repeats_first and last >= 0 else numbers

    def _end(self, row: int) -> int:
        """The sample before which the sound of a row is complete."""
        return self.hop_samples * row + self.window_samples - self.lead_samples


@dataclass(slots=True)
class FrontEndState:
    """What a front end remembers of each stream.

    Attributes:
        tail: The newest samples, [B, window_samples], float32.
        pending: How many of them, counted from the newest, the next row sees, [B], int64. Streams that began at
            different times give their rows at different times.
        level: Memory of the level policy, [B, K], float64.
        fresh_pending: `pending` of a stream that has not begun.
        fresh_level: `level` of streams that have not begun.
    """

    tail: Tensor
    pending: Tensor
    level: Tensor
    fresh_pending: int
    fresh_level: Tensor

    def reset(self, rows: Tensor) -> None:
        """Forget the streams where `rows` [B] (bool) is true, in place: their next sample is the first of a stream."""
        self.tail.masked_fill_(rows[:, None], 0.0)
        self.pending.masked_fill_(rows, self.fresh_pending)
        self.level.copy_(torch.where(rows[:, None], self.fresh_level, self.level))


@dataclass(frozen=True)
class Rows:
    """Rows that a chunk of sound completed.

    Attributes:
        values: [B, H, bands], float32, oldest first. H is the largest of `counts`.
        counts: How many of the H each stream completed, [B], int64; what follows them is 0 and means nothing.
    """

    values: Tensor
    counts: Tensor


class FrontEnd(nn.Module):
    """Sound to rows of features, for a batch of streams. One chunk or many give the same rows.

    Attributes:
        plan: Its numbers.
        level: Its level policy.
    """

    def __init__(self, plan: Plan, level: Level) -> None:
        super().__init__()
        self.plan = plan
        self.level = level

    @abstractmethod
    def features(self, windows: Tensor) -> Tensor:
        """Rows of windows: [..., window_samples] to [..., bands], both float64."""

    def init_state(self, batch: int, device: torch.device | None = None) -> FrontEndState:
        """The memory of `batch` streams that have not begun."""
        plan, level = self.plan, self.level.init_memory(batch).to(device)
        return FrontEndState(
            tail=torch.zeros(batch, plan.window_samples, device=device),
            pending=torch.full((batch,), plan.lead_samples, device=device),
            level=level,
            fresh_pending=plan.lead_samples,
            fresh_level=level.clone(),
        )

    def step(self, samples: Tensor, state: FrontEndState) -> Rows:
        """Hear the next samples of each stream.

        Args:
            samples: [B, n], float32, -1 to 1; any n, 0 included.
            state: Moves on in place.

        Raises:
            SoundShapeError: If `samples` is no batch of as many streams as the state's.
        """
        if samples.dim() != 2 or samples.shape[0] != state.tail.shape[0]:
            raise SoundShapeError(tuple(samples.shape), state.tail.shape[0])
        sound = torch.cat([state.tail, samples.to(state.tail.dtype)], dim=1)
        windows, counts = self._windows(sound, state.pending + samples.shape[1])
        state.pending.add_(samples.shape[1] - self.plan.hop_samples * counts)
        state.tail.copy_(sound[:, sound.shape[1] - state.tail.shape[1] :])
        if not windows.shape[1]:  # Fourier transforms of nothing are refused
            return Rows(sound.new_zeros(sound.shape[0], 0, self.plan.bands), counts)
        live = torch.arange(windows.shape[1], device=counts.device) < counts[:, None]
        power = windows[..., -self.plan.hop_samples :].square().mean(dim=-1)
        values = self.features(windows * self.level.gains(power, live, state.level)[..., None])
        return Rows((values * live[..., None]).float(), counts)

    def ending(self, samples: Tensor) -> Tensor:
        """The published padding after recordings, [B, n] to [B, trail_samples]: push it to get a stream's last rows."""
        return samples.new_zeros(samples.shape[0], self.plan.trail_samples)

    def forward(self, samples: Tensor) -> Tensor:
        """Rows of whole recordings, [B, n] to [B, rows, bands], with the published padding at both ends."""
        padded = torch.cat([samples, self.ending(samples)], dim=1)
        state = self.init_state(samples.shape[0], samples.device)
        return torch.cat([self.step(piece, state).values for piece in padded.split(PIECE_SAMPLES, dim=1)], dim=1)

    def frames(self, samples: Tensor, frames: range, lookahead_ms: int) -> Tensor:
        """What a system hears of whole recordings, exactly as in a stream followed by digital silence.

        Args:
            samples: [B, n].
            frames: Numbers of the frames wanted, rising.
            lookahead_ms: As in `AudioFeatures.lookahead_ms`.

        Returns:
            [B, len(frames), frame_rows, bands], float32.
        """
        end = max(0, FRAME_SAMPLES * (frames.stop - 1) + SAMPLES_PER_MS * lookahead_ms)
        sound = nn.functional.pad(samples, (0, max(0, end - samples.shape[1])))
        rows = nn.functional.pad(self(sound), (0, 0, 1, 0), value=self.plan.before)  # row k at k + 1
        numbers = np.stack([self.plan.rows_of_frame(frame, lookahead_ms) for frame in frames])
        return rows[:, torch.from_numpy(np.maximum(numbers, -1) + 1).to(rows.device)]

    def _windows(self, sound: Tensor, pending: Tensor) -> tuple[Tensor, Tensor]:
        """The windows that are complete, [B, H, window_samples], float64, and how many each stream has, [B]."""
        plan = self.plan
        counts = ((pending - plan.window_samples) // plan.hop_samples + 1).clamp_min(0)
        hops = torch.arange(int(counts.max()), device=sound.device) * plan.hop_samples
        # a stream with fewer windows than another repeats its newest samples; `step` discards those rows
        starts = (sound.shape[1] - pending[:, None] + hops).clamp_max(sound.shape[1] - plan.window_samples)
        stream = torch.arange(sound.shape[0], device=sound.device)[:, None]
        return sound.unfold(1, plan.window_samples, 1)[stream, starts.clamp_min(0)].double(), counts
