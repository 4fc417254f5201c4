"""Batches of streams: each row with its own memory and identity, and nothing drawn that nobody would see change."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from models.canvas import Canvas
from models.stream_rows import StreamRows
from models.system import AudioFeatures, ControlBatch, IdentityState
from stream.compose import Composer
from stream.due_frame import DueFrame
from stream.errors import DeviceFullError, DeviceLostError
from stream.paint import Brush, Painter, Seat


@dataclass
class Heard:
    total: torch.Tensor  # [B]


@dataclass
class Memory:
    heard: Heard
    frames: torch.Tensor  # [B]

    def reset(self, rows):
        self.heard.total.masked_fill_(rows, 0.0)
        self.frames.masked_fill_(rows, 0)


class Summer:
    """Its pose is the sum of all it has heard plus the first control; its picture that plus the identity's number."""

    name = "summer"
    unseen = torch.tensor([0.5])

    def __init__(self):
        self.drawn = []  # rows of each batch
        self.fail = lambda identities: None

    def init_state(self, batch):
        return Memory(Heard(torch.zeros(batch)), torch.zeros(batch, dtype=torch.int64))

    def pose(self, features, controls, state):
        state.heard.total += features.values.sum((1, 2))
        state.frames += 1
        return (state.heard.total + controls.values[:, 0])[:, None]

    def draw(self, identities, poses):
        self.fail(identities)
        self.drawn.append(len(identities))
        numbers = torch.stack([one.tensors["number"] for one in identities])
        return (poses[:, 0] + numbers)[:, None, None, None].expand(-1, 3, 2, 2)

    def step(self, identities, features, controls, state):
        return self.draw(identities, self.pose(features, controls, state))


class Plain:
    """The same, of which only `step` is known."""

    def __init__(self):
        self.inner = Summer()
        self.init_state, self.step = self.inner.init_state, self.inner.step


def who(number: float) -> IdentityState:
    return IdentityState("summer", 1, {"number": torch.tensor(number)})


def due(sound: float, control: float = 0.0) -> DueFrame:
    controls = ControlBatch(torch.tensor([[control]]), torch.ones(1))
    return DueFrame(0, AudioFeatures(torch.full((1, 1, 1), sound), torch.zeros(1)), controls)


def shown(brush: Brush) -> float | None:
    return None if brush.frame is None else float(brush.frame[0, 0, 0, 0])


@pytest.mark.parametrize("make", [Summer, Plain])
def test_streams_drawn_in_any_batches_are_drawn_as_if_alone(make):
    draw = np.random.default_rng(1)
    sounds = draw.integers(1, 9, (6, 12))
    alone = [[shown_alone(make, who(10.0 * n), sounds[n, : f + 1]) for f in range(12)] for n in range(6)]
    painter, seats, done = Painter(make()), [Seat(row, who(10.0 * row)) for row in range(6)], [0] * 6
    while min(done) < 12:
        batch = [n for n in draw.permutation(6)[: draw.integers(1, 7)] if done[n] < 12]
        brushes = [Brush(seats[n], [due(float(sounds[n, done[n]]))]) for n in batch]
        if brushes:
            painter.paint(brushes)
        for n, brush in zip(batch, brushes, strict=True):
            assert shown(brush) == alone[n][done[n]]
            done[n] += 1


def shown_alone(make, identity, sounds) -> float | None:
    painter, seat = Painter(make()), Seat(0, identity)
    for sound in sounds:
        brush = Brush(seat, [due(float(sound))])
        painter.paint([brush])
    return shown(brush)


def test_a_row_that_another_stream_had_begins_anew():
    painter = Painter(Summer())
    painter.paint([Brush(Seat(3, who(0.0)), [due(7.0)])])
    next_one = Brush(Seat(3, who(0.0)), [due(1.0)])
    painter.paint([next_one])
    assert shown(next_one) == 1.0


def test_rows_beyond_the_pool_are_added_and_the_old_ones_keep_their_memory():
    rows = StreamRows(Summer())
    for row in (0, 2):
        rows.reset(row)
    state = rows.take([2, 0])
    state.heard.total += torch.tensor([5.0, 6.0])
    rows.put([2, 0], state)
    rows.reset(40)
    assert rows.take([0, 2, 40]).heard.total.tolist() == [6.0, 5.0, 0.0]


def test_a_picture_that_would_look_the_same_is_not_drawn_and_small_steps_add_up():
    system = Summer()
    painter, seat = Painter(system), Seat(0, who(0.0))
    seen = []
    for control in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.2):
        brush = Brush(seat, [due(0.0, control)])
        painter.paint([brush])
        seen.append(shown(brush))
    assert seen == [0.0, None, None, pytest.approx(0.6), None, None, pytest.approx(1.2), None]


def test_another_face_is_drawn_at_once_though_nothing_moved():
    painter, seat = Painter(Summer()), Seat(0, who(0.0))
    painter.paint([Brush(seat, [due(0.0)])])
    seat.identity = who(3.0)
    brush = Brush(seat, [due(0.0)])
    painter.paint([brush])
    assert shown(brush) == 3.0


def test_only_the_rows_that_changed_are_drawn():
    system = Summer()
    painter, seats = Painter(system), [Seat(row, who(0.0)) for row in range(3)]
    painter.paint([Brush(seat, [due(0.0)]) for seat in seats])
    assert painter.paint([Brush(seat, [due(sound)]) for seat, sound in zip(seats, (0.0, 2.0, 0.1), strict=True)]) == 1
    assert system.drawn == [3, 1]


def test_frames_that_nobody_drew_are_heard_all_the_same():
    painter, seat = Painter(Summer()), Seat(0, who(0.0))
    painter.paint([Brush(seat, [due(2.0)], draw=False)])
    brush = Brush(seat, [due(3.0), due(4.0), due(1.0)])
    painter.paint([brush])
    assert shown(brush) == 10.0


@pytest.mark.parametrize("make", [Summer, Plain])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_number_that_is_none_spoils_one_frame_of_one_stream(make, bad):
    painter, seats = Painter(make()), [Seat(row, who(0.0)) for row in range(2)]
    brushes = [Brush(seat, [due(sound)]) for seat, sound in zip(seats, (bad, 2.0), strict=True)]
    painter.paint(brushes)
    assert [(brush.broken, shown(brush)) for brush in brushes] == [(True, None), (False, 2.0)]
    after = [Brush(seat, [due(1.0)]) for seat in seats]
    painter.paint(after)
    assert [(brush.broken, shown(brush)) for brush in after] == [(False, 1.0), (False, 3.0)]  # it has begun anew


def test_an_identity_that_cannot_be_drawn_fails_its_own_stream_and_nobody_hears_twice():
    system = Summer()

    def refuse(identities):
        if any(float(one.tensors["number"]) == 13 for one in identities):
            raise ValueError("not this one")

    system.fail = refuse
    painter, seats = Painter(system), [Seat(row, who(number)) for row, number in enumerate((0.0, 13.0, 20.0))]
    brushes = [Brush(seat, [due(1.0)]) for seat in seats]
    painter.paint(brushes)
    assert [shown(brush) for brush in brushes] == [1.0, None, 21.0]
    assert [type(brush.error) for brush in brushes] == [type(None), ValueError, type(None)]


def test_a_batch_that_does_not_fit_is_drawn_row_by_row_and_a_row_that_does_not_says_so():
    system = Summer()

    def fill(identities):
        if len(identities) > 1 or float(identities[0].tensors["number"]) == 13:
            raise torch.OutOfMemoryError("CUDA out of memory")

    system.fail = fill
    painter, seats = Painter(system), [Seat(row, who(number)) for row, number in enumerate((0.0, 13.0))]
    brushes = [Brush(seat, [due(1.0)]) for seat in seats]
    painter.paint(brushes)
    assert shown(brushes[0]) == 1.0
    assert isinstance(brushes[1].error, DeviceFullError)


@pytest.mark.parametrize("error", [torch.AcceleratorError("unspecified launch failure"), RuntimeError("CUDA error: x")])
def test_a_device_that_is_gone_is_no_streams_fault(error):
    system = Summer()

    def vanish(identities):
        raise error

    system.fail = vanish
    with pytest.raises(DeviceLostError, match=r"is gone .*the server loads its system anew"):
        Painter(system).paint([Brush(Seat(0, who(0.0)), [due(1.0)]), Brush(Seat(1, who(0.0)), [due(1.0)])])


def test_pictures_of_a_batch_come_to_the_host_together_as_they_would_alone():
    numbers = (-0.5, 0.0, 0.75)
    together = [Brush(Seat(row, who(number)), [due(0.0)]) for row, number in enumerate(numbers)]
    Painter(Summer()).paint(together)
    for brush, number in zip(together, numbers, strict=True):
        assert brush.picture is not None
        alone = Brush(Seat(0, who(number)), [due(0.0)])
        Painter(Summer()).paint([alone])
        assert alone.picture is None
        np.testing.assert_array_equal(brush.pixels(Composer()), alone.pixels(Composer()))
    assert len({brush.picture.tobytes() for brush in together}) == len(numbers)


def test_pictures_that_are_pasted_into_photos_are_left_to_each_streams_composer():
    canvas = Canvas(torch.zeros(3, 4, 6, dtype=torch.uint8), (2, 2))
    brushes = [Brush(Seat(row, replace(who(0.5), canvas=canvas)), [due(0.0)]) for row in range(2)]
    Painter(Summer()).paint(brushes)
    assert [brush.picture for brush in brushes] == [None, None]
    assert brushes[0].pixels(Composer()).shape == (6, 6)
