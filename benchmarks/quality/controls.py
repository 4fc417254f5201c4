"""Does the face do what the named controls say, and nothing else?

Seen by our own landmark net: how far it sees gaze and lids move is how far these numbers can be right. Two lids that
touch lie some tenth of an open eye apart for it, so an eye counts as closed from 80 %.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.quality.meter import FaceMeter, Picture, Seen
from models.rig import vector
from models.system import AudioFeatures, ControlBatch, IdentityState, System
from stream.compose import to_pixels

Quantity = str
BOTH_LIDS: Final = ("eyeBlinkLeft", "eyeBlinkRight")
SWEEPS: Final[dict[Quantity, tuple[float, ...]]] = {
    "headYaw": (-15, -10, -5, 5, 10, 15),
    "headPitch": (-10, -5, 5, 10),
    "headRoll": (-15, -10, -5, 5, 10, 15),
    "gazeYaw": (-15, -10, -5, 5, 10, 15),
    "gazePitch": (-10, -5, 5, 10),
    "blink": (0.25, 0.5, 0.75, 1.0),
}
"""What is commanded, in degrees or from open (0) to closed (1); the last is the full command."""
OPEN: Final = {"jawOpen": 0.5}
QUANTITIES: Final = (*SWEEPS, "lips")
MEANT: Final = {("gazePitch", "blink")}
"""What one control is meant to do to another quantity: lids follow the gaze."""
HIDDEN: Final = {("blink", "gazeYaw"), ("blink", "gazePitch")}
"""What one control hides: nobody sees where eyes look that are shut."""


@dataclass(frozen=True)
class Sweep:
    """One control, moved alone.

    Attributes:
        control: One of `SWEEPS`.
        commanded: What it was told, in its unit.
        measured: What the pictures show, relative to rest.
        mean_error: Mean size of the difference.
    """

    control: Quantity
    commanded: list[float]
    measured: list[float]
    mean_error: float


@dataclass(frozen=True)
class ControlReport:
    """How a face obeys.

    Attributes:
        sweeps: One for each of `SWEEPS`.
        leaks: For each moved control the largest unwanted effect: what else moved, as a share of what that other
            control's own full command should do (for the lips, of what half an open jaw does).
    """

    sweeps: list[Sweep]
    leaks: dict[Quantity, dict[Quantity, float]]

    @property
    def blink_closed(self) -> float:
        """How far the full blink closes the eyes, 0 to about 1."""
        return next(sweep.measured[-1] for sweep in self.sweeps if sweep.control == "blink")


class Puppet:
    """One identity under controls alone, without a voice."""

    def __init__(self, system: System, identity: IdentityState, bins: int = 80, hops: int = 4) -> None:
        self._system, self._identity = system, identity
        self._silence = AudioFeatures(torch.zeros(1, hops, bins), torch.tensor([40.0]))

    def pose(self, **controls: float) -> Picture:
        """The face under these controls, RGB, [S, S, 3], uint8."""
        batch = ControlBatch(vector(controls)[None], torch.zeros(1))
        return to_pixels(self._system.step([self._identity], self._silence, batch, self._system.init_state(1)))


def measure_controls(puppet: Puppet, meter: FaceMeter) -> ControlReport:
    """Move every control of `SWEEPS` and the jaw, one at a time.

    Args:
        puppet: The face.
        meter: One that knows the face at rest.
    """
    still = quantities(meter.rest)[:, 0]
    moved: dict[Quantity, NDArray[np.float64]] = {}
    sweeps: list[Sweep] = []
    for row, (control, values) in enumerate(SWEEPS.items()):
        pictures = [puppet.pose(**command(control, value)) for value in values]
        seen = quantities(meter.look(pictures)) - still[:, None]
        error = float(np.abs(seen[row] - np.array(values)).mean())
        sweeps.append(Sweep(control, list(values), [round(float(v), 2) for v in seen[row]], round(error, 2)))
        moved[control] = seen[:, -1]
    moved["lips"] = quantities(meter.look([puppet.pose(**OPEN)]))[:, 0] - still
    return ControlReport(sweeps, leaks_of(moved))


def command(control: Quantity, value: float) -> dict[str, float]:
    """The rig controls of one value of a sweep."""
    return dict.fromkeys(BOTH_LIDS, value) if control == "blink" else {control: value}


def quantities(seen: Seen) -> NDArray[np.float64]:
    """What was seen, a row for each of `QUANTITIES`."""
    return np.concatenate([seen.angles_deg.T, seen.gaze_deg.T, seen.lids_closed[None], seen.lip_gap[None]])


def leaks_of(moved: Mapping[Quantity, NDArray[np.float64]]) -> dict[Quantity, dict[Quantity, float]]:
    """The largest effect of each control on what it should not move.

    Args:
        moved: For each moved quantity the effect of its full command on each of `QUANTITIES`, in their own units.
    """
    full = np.array([values[-1] for values in SWEEPS.values()] + [moved["lips"][-1]])
    out: dict[Quantity, dict[Quantity, float]] = {}
    for name, effect in moved.items():
        share = {
            other: float(size)
            for other, size in zip(QUANTITIES, np.abs(effect) / full, strict=True)
            if other != name and (name, other) not in MEANT | HIDDEN
        }
        worst = max(share, key=share.__getitem__)
        out[name] = {worst: round(share[worst], 3)}
    return out
