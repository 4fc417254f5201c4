import numpy as np
import pytest
import torch

from benchmarks.faces import demo_photos
from models import rig
from models.training.landmark_crops import STORED_PX, CropSet
from models.training.train_parts import eyes, look_at, loss_px
from models.visavis.enrol import find_face
from models.visavis.landmarks import EYE_GAPS, LIP_GAPS, Placement, align, load_net, locate_twice
from models.visavis.parts import LEFT_EYE, MOUTH, PART_PX, RIGHT_EYE, WEIGHTS, load_parts, look_closer
from models.visavis.system import Visavis
from stream.compose import to_pixels


@pytest.fixture(scope="module")
def net():
    return load_net()


@pytest.fixture(scope="module")
def parts():
    return load_parts()


@pytest.fixture(scope="module")
def drawn():
    """A demo face in several states, and its points there."""
    system, photo = Visavis.load("eager"), demo_photos()[1]
    identity = system.enroll(photo)
    states = {
        "rest": {},
        "shut": {"eyeBlinkLeft": 1, "eyeBlinkRight": 1},
        "right": {"gazeYaw": 15},
        "left": {"gazeYaw": -15},
        "open": {"jawOpen": 0.4, "mouthLowerDownLeft": 0.2, "mouthLowerDownRight": 0.2},
    }
    pictures = {name: to_pixels(system.draw([identity], rig.vector(state)[None])) for name, state in states.items()}
    return {name: find_face(np.kron(picture, np.ones((2, 2, 1), np.uint8))) for name, picture in pictures.items()}


def gap(points, pairs, corners):
    width = np.linalg.norm(points[corners[0]] - points[corners[1]])
    return np.mean([np.linalg.norm(points[upper] - points[lower]) for upper, lower in pairs]) / width


def iris_place(points):
    """Of the person's right eye: 0 at the outer corner to 1 at the inner one."""
    along = points[133] - points[33]
    return float((points[468] - points[33]) @ along / (along @ along))


def test_closed_lids_are_seen_closed(drawn):
    lids = {name: gap(points, EYE_GAPS[:3], (33, 133)) for name, points in drawn.items()}
    assert lids["rest"] > 0.2
    assert lids["shut"] < 0.5 * lids["rest"]


def test_a_gaze_aside_is_seen(drawn):
    assert iris_place(drawn["left"]) < iris_place(drawn["rest"]) - 0.05
    assert iris_place(drawn["right"]) > iris_place(drawn["rest"]) + 0.05


def test_an_open_mouth_is_seen_open(drawn):
    lips = {name: gap(points, LIP_GAPS, (61, 291)) for name, points in drawn.items()}
    assert lips["rest"] < 0.05
    assert lips["open"] > 0.2


def test_only_eyes_and_mouth_are_looked_at_again(net, parts):
    photo = demo_photos()[0]
    _, points = locate_twice(net, photo, Placement.upright(256, 256, 330))
    closer = look_closer(net, parts, photo, points)
    again = {*RIGHT_EYE.points, *LEFT_EYE.points, *MOUTH.points}
    rest = [point for point in range(len(points)) if point not in again]
    np.testing.assert_array_equal(closer[rest], points[rest])
    assert 0 < np.abs(closer - points).max() < 15


def test_a_mirrored_photo_gives_the_mirrored_points(net, parts):
    photo = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    face = torch.from_numpy(Placement.upright(100, 100, 180).to_photo(net.mean_shape.double().numpy()))
    mirrored_face = net.unmirrored(face / 200) * 200
    points = torch.from_numpy(look_closer(net, parts, photo, face.numpy()))
    mirrored = torch.from_numpy(look_closer(net, parts, photo[:, ::-1].copy(), mirrored_face.numpy()))
    torch.testing.assert_close(net.unmirrored(mirrored / 200) * 200, points, atol=0.05, rtol=0)


def test_the_shipped_weights_are_small_and_finite(parts):
    assert WEIGHTS.stat().st_size <= 1_200_000
    assert all(torch.isfinite(t).all() for t in parts.state_dict().values())


def dotted_faces(count):
    """Grey pictures with a bright dot at each face's right mouth corner and at its left eye's inner corner."""
    rng = torch.Generator().manual_seed(3)
    side = 0.6 + 0.1 * torch.rand(count, generator=rng)
    corner = 0.15 + 0.1 * torch.rand(count, 2, generator=rng)
    points = load_net().mean_shape * side[:, None, None] + corner[:, None]
    crops = torch.full((count, STORED_PX, STORED_PX, 3), 60, dtype=torch.uint8)
    for crop, face in zip(crops, (points * STORED_PX).int().tolist(), strict=True):
        for x, y in (face[61], face[362]):
            crop[y - 1 : y + 2, x - 1 : x + 2] = 255
    return CropSet(crops, points, side.to(torch.complex64), torch.view_as_complex(corner), torch.arange(len(crops)))


def bright(crop):
    return (crop[0] > 0.5).nonzero().float().mean(0).flip(0) + 0.5


def test_a_crop_shows_each_point_where_its_label_says():
    faces, rng = dotted_faces(8), torch.Generator().manual_seed(0)
    mouths, labels = look_at(faces, torch.arange(8), MOUTH, rng)
    for crop, label in zip(mouths, labels, strict=True):
        assert (bright(crop) - label[MOUTH.points.index(61)] * PART_PX).norm() < 1.5
    both, labels = eyes(faces, torch.arange(8), rng)
    for crop, label in zip(both[8:], labels[8:], strict=True):  # mirrored: the left eye's inner corner is on the right
        assert (bright(crop) - label[LEFT_EYE.points.index(362)] * PART_PX).norm() < 1.5
        assert label[LEFT_EYE.points.index(362), 0] > 0.5


def test_a_part_is_cut_as_the_face_lies(net):
    shape = net.mean_shape.double().numpy()
    face = Placement(100 * np.exp(0.3j), 40 + 50j)
    points = face.to_photo(shape)
    place = MOUTH.place(align(shape, points), points)
    assert place.roll_deg == pytest.approx(np.degrees(0.3))
    assert place.side_px == pytest.approx(100 * MOUTH.side)
    np.testing.assert_allclose(place.to_crop(points[list(MOUTH.points)]).mean(axis=0), [0.5, 0.5], atol=1e-9)


def test_a_gap_read_wrong_costs_more_than_a_shift():
    labels = torch.rand(1, 4, 2, generator=torch.Generator().manual_seed(0))
    shifted, opened = labels + 0.01, labels.clone()
    opened[:, :2] += 0.01
    opened[:, 2:] -= 0.01
    rest = (torch.ones(4), ([0, 1], [2, 3]))
    assert loss_px(labels, labels, *rest) == 0
    assert loss_px(opened, labels, *rest) == pytest.approx(2 * float(loss_px(shifted, labels, *rest)), rel=1e-4)
