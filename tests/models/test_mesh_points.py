from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from models.rig import vector
from models.training.mesh_points import carried, depths_px
from models.visavis.fit import MEDIAPIPE_68, MEDIAPIPE_IRISES, blink_gain
from models.visavis.ict import Part, Rig, Shape, mean_shape, pose
from models.visavis.landmarks import EYE_GAPS, LEFT_EYELIDS, POINTS, RIGHT_EYELIDS

RIG = Rig.load()
_MEAN = Shape.from_tensors({name: t[0] for name, t in mean_shape().tensors().items()})
SHAPE = replace(_MEAN, blink_gain=blink_gain(RIG, _MEAN))
INNER_68 = slice(17, 60)  # without the jaw line, which turns away, and the inner lips, which are a rim


def points_of(posed: Tensor) -> Tensor:
    """A detector's answer that agrees with the rig, as far as the 68 points, the lids and the irises go."""
    skin = torch.nonzero(RIG.part == Part.FACE).squeeze(1)
    front = skin[posed[skin, 2] > posed[RIG.landmarks68[36], 2]]
    points = posed[front[torch.arange(POINTS) * len(front) // POINTS], :2].clone()
    for ring, chain, corner in ((RIGHT_EYELIDS, RIG.eye_right, 39), (LEFT_EYELIDS, RIG.eye_left, 45)):
        turn = int((chain == RIG.landmarks68[corner]).nonzero())
        upper, lower = chain[: turn + 1], torch.cat([chain[turn:], chain[:1]])
        if ring is LEFT_EYELIDS:  # it begins at its outer corner, the picture's right one
            upper, lower = upper.flip(0), lower.flip(0)
        for some, side in ((ring[:9], upper), ((*ring[8:], ring[0]), lower)):
            points[list(some)] = posed[side[torch.linspace(0, len(side) - 1, len(some)).round().long()], :2]
    points[list(MEDIAPIPE_68)] = posed[RIG.landmarks68, :2]
    for first, ring in ((468, RIG.iris_right), (473, RIG.iris_left)):
        points[first : first + 5] = posed[ring, :2].mean(0)
    return points


@pytest.fixture(scope="module")
def photo() -> Tensor:
    return points_of(pose(RIG, SHAPE, torch.zeros(1, 57))[0])


def states(*controls: dict[str, float]) -> Tensor:
    return torch.stack([vector(c) for c in controls])


def test_the_photo_keeps_its_points_whatever_the_detector_saw(photo: Tensor):
    noisy = photo + torch.from_numpy(np.random.default_rng(0).normal(0.0, 2.0, photo.shape)).float()
    torch.testing.assert_close(carried(RIG, SHAPE, noisy, states({}))[0], noisy, atol=1e-3, rtol=0)


def test_what_lies_behind_the_skin_carries_nothing(photo: Tensor):
    depth_cm = depths_px(RIG, SHAPE, photo + 1.0) / SHAPE.scale_px_per_cm  # no detector hits a vertex
    front = [RIG.landmarks68[30], RIG.landmarks68[51], RIG.landmarks68[27]]  # tip of the nose, upper lip, bridge
    wanted = pose(RIG, SHAPE, torch.zeros(1, 57))[0, front, 2] / SHAPE.scale_px_per_cm
    found = depth_cm[[MEDIAPIPE_68[30], MEDIAPIPE_68[51], MEDIAPIPE_68[27]]]
    torch.testing.assert_close(found, wanted, atol=0.15, rtol=0)  # the nostril lies 2 cm behind, the mouth 1.5


@pytest.mark.parametrize("turn", [{"headYaw": 15.0}, {"headPitch": -10.0}, {"headRoll": 12.0}])
def test_points_turn_with_the_head(photo: Tensor, turn: dict[str, float]):
    controls = states(turn)
    found = carried(RIG, SHAPE, photo, controls)[0, list(MEDIAPIPE_68[INNER_68])]
    wanted = pose(RIG, SHAPE, controls)[0, RIG.landmarks68[INNER_68], :2]
    assert (found - photo[list(MEDIAPIPE_68[INNER_68])]).norm(dim=1).min() > 5.0
    torch.testing.assert_close(found, wanted, atol=0.25, rtol=0)


def test_a_jaw_takes_the_lower_lip_along(photo: Tensor):
    controls = states({"jawOpen": 0.6})
    found = carried(RIG, SHAPE, photo, controls)[0]
    upper, lower = pose(RIG, SHAPE, controls)[0, RIG.landmarks68[[62, 66]], :2]
    assert lower[1] - upper[1] > 5.0
    torch.testing.assert_close(found[[13, 14]], torch.stack([upper, lower]), atol=0.3, rtol=0)


def test_lids_meet_in_a_blink_even_where_the_detector_sees_wide_eyes(photo: Tensor):
    upper, lower = (list(side) for side in zip(*EYE_GAPS, strict=True))
    wide = photo.clone()
    wide[upper, 1] -= 2.0
    wide[lower, 1] += 2.0
    found = carried(RIG, SHAPE, wide, states({}, {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}))
    gaps = found[:, lower, 1] - found[:, upper, 1]
    assert gaps[0].min() > 8.0
    assert gaps[1].abs().max() < 0.1 * gaps[0].min()


def test_irises_follow_the_gaze_and_nothing_else_does(photo: Tensor):
    found = carried(RIG, SHAPE, photo, states({"gazeYaw": 15.0}))[0] - photo
    depth_px = 1.448 * float(SHAPE.scale_px_per_cm)
    np.testing.assert_allclose(found[list(MEDIAPIPE_IRISES), 0], depth_px * np.sin(np.radians(15.0)), atol=0.1)
    assert found[list(MEDIAPIPE_68[27:36])].abs().max() < 0.1
