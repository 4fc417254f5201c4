"""The rig and its pose."""

import pytest
import torch

from models.rig import BLENDSHAPES, vector
from models.visavis.fit import blink_gain, lid_gap_cm, lip_gap_cm, rest_expression
from models.visavis.ict import BLINK, NECK_CM, Part, Rig, Shape, person, pose, weights


@pytest.fixture(scope="module")
def rig() -> Rig:
    return Rig.load()


def somebody(rig: Rig, seed: int, grin: float = 0.0) -> Shape:
    random = torch.Generator().manual_seed(seed)
    expression = torch.zeros(len(BLENDSHAPES))
    for name in ("mouthSmileLeft", "mouthSmileRight", "jawOpen"):
        expression[BLENDSHAPES.index(name)] = grin
    shape = Shape(
        identity=torch.randn(60, generator=random),
        expression=expression,
        rest=expression,
        angles_deg=torch.zeros(3),
        scale_px_per_cm=torch.tensor(10.0),
        centre_px=torch.tensor([128.0, 270.0]),
        gaze_deg=torch.zeros(2, 2),
        blink_gain=torch.ones(2),
        residual_cm=torch.tensor(0.0),
    )
    rested = Shape(**{**shape.tensors(), "rest": rest_expression(rig, shape)})
    return Shape(**{**rested.tensors(), "blink_gain": blink_gain(rig, rested)})


def face_cm(rig: Rig, shape: Shape, **controls: float) -> torch.Tensor:
    expression = weights(shape, vector(controls)[None])
    return (person(rig, shape) + (expression @ rig.expression.flatten(1)).unflatten(-1, (-1, 3)))[0]


def place(rig: Rig, vertices: torch.Tensor, **controls: float) -> torch.Tensor:
    return pose(rig, somebody(rig, 0), vector(controls)[None])[0, vertices].mean(0)


@pytest.mark.parametrize("grin", [0.0, 0.4])
@pytest.mark.parametrize("seed", range(4))
def test_at_rest_the_lips_meet_without_gap_or_crossing(rig: Rig, seed: int, grin: float):
    shape = somebody(rig, seed, grin)
    assert lip_gap_cm(rig, face_cm(rig, shape)).abs().max() < 0.06
    if grin:
        shown = person(rig, shape)[0] + torch.einsum("k,kvc->vc", shape.expression, rig.expression)
        assert lip_gap_cm(rig, shown).mean() > 0.4  # what rest had to close


@pytest.mark.parametrize("seed", range(4))
def test_a_full_blink_closes_the_lids_of_everybody(rig: Rig, seed: int):
    shape = somebody(rig, seed)
    for gap in lid_gap_cm(rig, face_cm(rig, shape)):
        assert gap.mean() > 0.5
    for gap in lid_gap_cm(rig, face_cm(rig, shape, eyeBlinkLeft=1.0, eyeBlinkRight=1.0)):
        assert -0.12 < gap.mean() < 0.0


def test_a_blink_closes_the_lids_whatever_the_gaze(rig: Rig):
    shape = somebody(rig, 1)
    closed = face_cm(rig, shape, eyeBlinkLeft=1.0, eyeBlinkRight=1.0)
    looking = face_cm(rig, shape, eyeBlinkLeft=1.0, eyeBlinkRight=1.0, gazePitch=-18.0, gazeYaw=20.0)
    torch.testing.assert_close(looking, closed)


def test_lids_follow_the_gaze_down(rig: Rig):
    shape = somebody(rig, 1)
    straight, down = lid_gap_cm(rig, face_cm(rig, shape))[0], lid_gap_cm(rig, face_cm(rig, shape, gazePitch=-15.0))[0]
    assert (straight - down).mean() > 0.1


def test_positive_yaw_pitch_and_roll_turn_as_a_viewer_sees_them(rig: Rig):
    nose, brow = rig.landmarks68[30:31], rig.landmarks68[27:28]
    still = place(rig, nose)
    assert place(rig, nose, headYaw=10.0)[0] > still[0] + 10
    assert place(rig, nose, headPitch=10.0)[1] < still[1] - 10
    assert place(rig, brow, headRoll=10.0)[0] > place(rig, brow)[0] + 10


def test_positive_gaze_moves_the_iris_right_and_up(rig: Rig):
    still = place(rig, rig.iris_left)
    assert place(rig, rig.iris_left, gazeYaw=15.0)[0] > still[0] + 2
    assert place(rig, rig.iris_left, gazePitch=15.0)[1] < still[1] - 2


def test_left_is_the_persons_left_so_the_pictures_right(rig: Rig):
    shape = somebody(rig, 0)
    left, right = lid_gap_cm(rig, face_cm(rig, shape, eyeBlinkLeft=1.0))
    assert left.mean() < 0.0 < 0.4 < right.mean()
    assert place(rig, rig.eye_left)[0] > place(rig, rig.eye_right)[0]
    assert (rig.part[rig.iris_left] <= Part.IRIS_L).all()


def test_the_base_of_the_neck_stays_when_the_head_turns(rig: Rig):
    near = (rig.neutral - torch.tensor(NECK_CM)).norm(dim=1).argmin()
    moved = place(rig, near[None], headYaw=10.0) - place(rig, near[None])
    top = (rig.neutral[:, 1]).argmax()
    assert moved[:2].norm() < 0.5 * (place(rig, top[None], headRoll=10.0) - place(rig, top[None]))[:2].norm()


def test_a_subset_moves_as_the_whole_rig_does(rig: Rig):
    chosen = torch.cat([rig.inner_lip, rig.iris_left]).unique()
    small = rig.subset(chosen)
    shape, controls = somebody(rig, 2), vector({"jawOpen": 0.5, "gazeYaw": 12.0, "headYaw": -8.0})[None]
    torch.testing.assert_close(pose(small, shape, controls)[0], pose(rig, shape, controls)[0, chosen])
    torch.testing.assert_close(small.neutral[small.inner_lip], rig.neutral[rig.inner_lip])
    assert len(small.eye_left) == 0


def test_a_row_per_person_equals_one_person_at_a_time(rig: Rig):
    small = rig.subset(rig.landmarks68)
    people = [somebody(rig, seed) for seed in (3, 4)]
    stacked = Shape(*(torch.stack(field) for field in zip(*(p.tensors().values() for p in people), strict=True)))
    controls = torch.stack([vector({"jawOpen": 0.5, "headRoll": 5.0}), vector({"mouthPucker": 0.8, "gazeYaw": 9.0})])
    both = pose(small, stacked, controls)
    for row in range(2):
        torch.testing.assert_close(both[row], pose(small, people[row], controls[row : row + 1])[0])


def test_a_shape_survives_its_flat_dict(rig: Rig):
    shape = somebody(rig, 5)
    flat = {"other": torch.zeros(1), **shape.tensors("shape.")}
    for name, value in Shape.from_tensors(flat, "shape.").tensors().items():
        assert torch.equal(value, getattr(shape, name))
    with pytest.raises(KeyError, match=r"shape\.rest"):
        Shape.from_tensors({k: v for k, v in flat.items() if k != "shape.rest"}, "shape.")


def test_blink_weights_are_scaled_and_capped(rig: Rig):
    shape = somebody(rig, 6)
    over = weights(shape, vector({"eyeBlinkLeft": 1.0})[None] * 3)
    torch.testing.assert_close(over[0, BLINK[0]], shape.rest[BLINK[0]] + shape.blink_gain[0])
