"""A silent face: few pictures are drawn, and what is shown is never visibly behind what it should be."""

import pytest
import torch

from models.idle import IdleLife
from models.rig import INDEX
from models.system import AudioFeatures, ControlBatch, IdentityState
from models.visavis.system import Visavis
from stream.due_frame import DueFrame
from stream.paint import Brush, Painter, Seat

FRAMES = 1500


class Puppet:
    """Poses as its controls say, and sees as the house model does."""

    name = "puppet"
    unseen = Visavis.unseen

    def init_state(self, batch):
        return self

    def reset(self, rows):
        pass

    def pose(self, features, controls, state):
        return controls.values

    def draw(self, identities, poses):
        return poses[:, None, None, :].expand(-1, 3, 1, -1)

    def step(self, identities, features, controls, state):
        return self.draw(identities, controls.values)


@pytest.fixture(scope="module")
def minute():
    """What a minute of idle life wants, and what is shown: [FRAMES, 57] each; and which frames were drawn."""
    life, painter = IdleLife(5), Painter(Puppet())
    seat = Seat(0, IdentityState("puppet", 1, {}))
    wanted, shown, drawn = [], [], []
    for frame in range(FRAMES):
        controls = life.controls(40.0 * frame, 0.0)[None]
        brush = Brush(seat, [DueFrame(frame, AudioFeatures(controls, controls), ControlBatch(controls, torch.ones(1)))])
        painter.paint([brush])
        wanted.append(controls[0])
        drawn.append(brush.frame is not None)
        shown.append(shown[-1] if brush.frame is None else brush.frame[0, 0, 0])
    return torch.stack(wanted), torch.stack(shown), drawn


def test_a_silent_face_draws_less_than_a_quarter_of_its_pictures(minute):
    assert sum(minute[2]) / FRAMES < 0.25


def test_the_face_shown_is_never_visibly_behind_the_face_that_was_meant(minute):
    wanted, shown, _ = minute
    assert float(torch.linalg.vector_norm((wanted - shown) / Puppet.unseen, dim=1).max()) <= 1.0


def test_a_blink_is_drawn_frame_by_frame(minute):
    wanted, _, drawn = minute
    lids = wanted[:, INDEX["eyeBlinkLeft"]]
    moving = (lids[1:] - lids[:-1]).abs() > 0.06
    assert int(moving.sum()) > 50
    assert all(drawn[frame + 1] for frame in moving.nonzero().flatten().tolist())
