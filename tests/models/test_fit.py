"""The fit, from points that the rig itself projected, and the frame."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.rig import BLENDSHAPES, vector
from models.visavis.fit import crop, crop_box, fit, mark_offset_cm, shape_in_frame, to_frame, track
from models.visavis.ict import Rig, Shape, pose


@pytest.fixture(scope="module")
def rig() -> Rig:
    return Rig.load()


def truth(seed: int) -> Shape:
    random = torch.Generator().manual_seed(seed)
    expression = torch.zeros(len(BLENDSHAPES))
    expression[BLENDSHAPES.index("mouthSmileLeft")] = expression[BLENDSHAPES.index("mouthSmileRight")] = 0.4
    return Shape(
        identity=torch.randn(60, generator=random) * 0.7,
        expression=expression,
        rest=expression,
        angles_deg=torch.tensor([8.0, -5.0, 12.0]),
        scale_px_per_cm=torch.tensor(23.0),
        centre_px=torch.tensor([300.0, 700.0]),
        gaze_deg=torch.tensor([[10.0, 4.0], [7.0, 4.0]]),
        blink_gain=torch.ones(2),
        residual_cm=torch.tensor(0.0),
    )


def seen(rig: Rig, shape: Shape, controls: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    rows = torch.zeros(1, 57) if controls is None else controls
    vertices = pose(rig, shape, rows)[..., :2]
    irises = torch.stack([vertices[:, ring].mean(1) for ring in (rig.iris_left, rig.iris_right)], 1)
    return vertices[:, rig.landmarks68], irises


@pytest.mark.parametrize("seed", range(3))
def test_fit_recovers_pose_gaze_and_points_of_a_known_face(rig: Rig, seed: int):
    known = truth(seed)
    points, irises = seen(rig, known)
    found = fit(rig, points[0], irises[0])
    assert (found.angles_deg - known.angles_deg).abs().max() < 1.0
    assert (found.gaze_deg - known.gaze_deg).abs().max() < 3.0
    assert float(found.scale_px_per_cm) == pytest.approx(23.0, rel=0.06)
    again, _ = seen(rig, replace(found, rest=found.expression))
    assert (again - points)[0, 17:].norm(dim=1).mean() < 0.1 * 23.0
    assert float(found.residual_cm) == pytest.approx(
        float((again - points)[0, 17:].norm(dim=1).mean() / found.scale_px_per_cm), abs=0.01
    )


@pytest.mark.parametrize("degrees", [(-15.0, 0.0, 0.0), (15.0, 10.0, -15.0), (0.0, -10.0, 5.0)])
def test_tracking_finds_a_known_persons_head_pose(rig: Rig, degrees: tuple[float, float, float]):
    known = truth(0)
    moved = vector(dict(zip(("headYaw", "headPitch", "headRoll"), degrees, strict=True)))[None]
    [found] = track(rig, known, *seen(rig, known, moved))
    torch.testing.assert_close(found.angles_deg - known.angles_deg, torch.tensor(degrees), atol=0.1, rtol=0)


def test_fit_does_not_care_where_and_how_large_the_face_is(rig: Rig):
    points, irises = (values[0] for values in seen(rig, truth(1)))
    one, other = fit(rig, points, irises), fit(rig, points * 0.5 + 40, irises * 0.5 + 40)
    torch.testing.assert_close(other.identity, one.identity, atol=2e-3, rtol=0)
    torch.testing.assert_close(other.centre_px, one.centre_px * 0.5 + 40, atol=0.1, rtol=0)


def test_tracking_finds_how_far_the_mouth_is_open(rig: Rig):
    known = truth(2)
    at_rest, eyes = seen(rig, known)
    shape = fit(rig, at_rest[0], eyes[0])
    rows = torch.stack([vector({}), vector({"jawOpen": 0.2}), vector({"jawOpen": 0.4})])
    points, irises = seen(rig, known, rows)
    offset_cm = mark_offset_cm(rig, shape, points[:1])
    jaw = [
        float((t.expression - t.rest)[BLENDSHAPES.index("jawOpen")])
        for t in track(rig, shape, points, irises, offset_cm)
    ]
    assert jaw[0] < 0.02
    assert jaw[1] == pytest.approx(0.2, abs=0.07)
    assert jaw[2] == pytest.approx(0.4, abs=0.12)


def test_the_frame_is_25_cm_wide_and_holds_the_head(rig: Rig):
    shape = truth(0)
    x0, y0, x1, y1 = crop_box(shape)
    assert x1 - x0 == pytest.approx(25.0 * 23.0)
    assert y1 - y0 == pytest.approx(x1 - x0)
    marks = to_frame(seen(rig, shape)[0][0], (x0, y0, x1, y1), 256)
    assert marks.min() > 30
    assert marks.max() < 245


def test_pose_in_frame_pixels_equals_pose_in_the_photo_moved_there(rig: Rig):
    shape, small = truth(0), rig.subset(rig.landmarks68)
    box = crop_box(shape)
    controls = vector({"jawOpen": 0.3, "headYaw": 9.0})[None]
    direct = pose(small, shape_in_frame(shape, box, 256), controls)
    torch.testing.assert_close(direct, to_frame(pose(small, shape, controls), box, 256), atol=1e-3, rtol=1e-4)


def test_crop_shows_the_box_and_repeats_the_edge_outside():
    photo = np.zeros((40, 60, 3), np.uint8)
    photo[:, :30], photo[:, 30:] = (200, 0, 0), (0, 0, 90)
    cut = crop(photo, (10.0, -20.0, 50.0, 20.0), 20)
    assert cut.shape == (20, 20, 3)
    assert cut[3, 3].tolist() == [200, 0, 0]  # above the photo: its edge
    assert cut[15, 3].tolist() == [200, 0, 0]
    assert cut[15, 16].tolist() == [0, 0, 90]


def test_shrinking_averages_instead_of_dropping_pixels():
    stripes = np.tile(np.array([0, 255], np.uint8)[None, :, None], (64, 32, 3))
    assert crop(stripes, (0.0, 0.0, 64.0, 64.0), 8)[4, 4, 0] == pytest.approx(127, abs=8)


def test_beyond_its_edges_a_photo_is_mirrored():
    photo = torch.randint(0, 256, (6, 8, 3), dtype=torch.uint8).numpy()
    got = crop(photo, (-2, -2, 6, 6), 8)
    assert np.array_equal(got[2:, 2:], photo[:, :6])
    assert np.array_equal(got[:2], got[3:1:-1])
    assert np.array_equal(got[:, :2], got[:, 3:1:-1])
