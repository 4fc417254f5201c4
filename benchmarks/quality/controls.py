"""Does the face do what the named controls say, and nothing else?

Gaze and lids are left out: the landmark net that looks does not see them move (MediaPipe, asked outside the project,
saw 10 degrees of 15 commanded, and lids that close from 0.27 to 0.05 of an eye's width).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.quality.meter import FaceMeter, Picture, Seen
from models.rig import vector
from models.system import AudioFeatures, ControlBatch, IdentityState, System
from stream.compose import to_pixels

SWEEPS: Final[dict[str, tuple[float, ...]]] = {
    "headYaw": (-15, -10, -5, 5, 10, 15),
    "headPitch": (-10, -5, 5, 10),
    "headRoll": (-15, -10, -5, 5, 10, 15),
}
"""What is commanded, in degrees; the last is the full command that leaks are measured at."""
OPEN: Final = {"jawOpen": 0.5}
QUANTITIES: Final = (*SWEEPS, "lips")


@dataclass(frozen=True)
class Sweep:
    """One control, moved alone.

    Attributes:
        control: Its name.
        commanded_deg: What it was told.
        measured_deg: What the pictures show, relative to rest.
        mean_error_deg: Mean size of the difference.
    """

    control: str
    commanded_deg: list[float]
    measured_deg: list[float]
    mean_error_deg: float


@dataclass(frozen=True)
class ControlReport:
    """How a face obeys.

    Attributes:
        sweeps: One for each of `SWEEPS`.
        leaks: For each moved control the largest unwanted effect: what else moved, as a share of what that other
            control's own full command does to it.
    """

    sweeps: list[Sweep]
    leaks: dict[str, dict[str, float]]


class Puppet:
    """One identity under controls alone, without a voice."""

    def __init__(self, system: System, identity: IdentityState, bins: int = 80, hops: int = 4) -> None:
        self._system, self._identity = system, identity
        self._silence = AudioFeatures(torch.zeros(1, hops, bins), torch.tensor([40.0]))

    def pose(self, **controls: float) -> Picture:
        """The face under these controls, RGB, [S, S, 3], uint8."""
        batch = ControlBatch(vector(controls)[None], torch.zeros(1))
        return to_pixels(self._system.step([self._identity], self._silence, batch, self._system.init_state(1)))


def measure_controls(puppet: Puppet) -> ControlReport:
    """Move every control of `SWEEPS` and the jaw, one at a time."""
    rest = puppet.pose()
    meter = FaceMeter(rest)
    still = _quantities(meter.look([rest]))[:, 0]
    full: dict[str, NDArray[np.float64]] = {}
    sweeps: list[Sweep] = []
    for row, (control, degrees) in enumerate(SWEEPS.items()):
        moved = _quantities(meter.look([puppet.pose(**{control: value}) for value in degrees]))
        measured = moved[row] - still[row]
        error = float(np.abs(measured - np.array(degrees)).mean())
        sweeps.append(Sweep(control, list(degrees), [round(float(v), 2) for v in measured], round(error, 2)))
        full[control] = moved[:, -1] - still
    full["lips"] = _quantities(meter.look([puppet.pose(**OPEN)]))[:, 0] - still
    return ControlReport(sweeps, _leaks(full))


def _quantities(seen: Seen) -> NDArray[np.float64]:
    """What was seen, a row for each of `QUANTITIES`."""
    return np.concatenate([seen.angles_deg.T, seen.lip_gap[None]])


def _leaks(full: dict[str, NDArray[np.float64]]) -> dict[str, dict[str, float]]:
    own = np.array([abs(full[name][row]) for row, name in enumerate(QUANTITIES)])
    out: dict[str, dict[str, float]] = {}
    for row, name in enumerate(QUANTITIES):
        share = np.abs(full[name]) / np.maximum(own, 1e-6)
        share[row] = 0.0
        worst = int(share.argmax())
        out[name] = {QUANTITIES[worst]: round(float(share[worst]), 3)}
    return out
