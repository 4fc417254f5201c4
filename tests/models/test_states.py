"""Random states, and what a scene makes up."""

import numpy as np
import pytest
import torch

from models.rig import CONTROLS, INDEX, LIMITS
from models.training.raster import Raster
from models.training.relight import Relight, scene_ratio
from models.training.scene import Scene, fill_eye, inner_rim, inside_polygon, normals, own_controls, strip
from models.training.states import MOUTHS, both, random_controls
from models.training.truth import scene_truth
from models.visavis.fit import blink_gain, crop_box, lip_gap_cm, rest_expression, shape_in_frame
from models.visavis.ict import Part, Rig, Shape, person, weights


def many(count: int) -> torch.Tensor:
    rng = np.random.default_rng(0)
    return torch.stack([random_controls(rng, torch.zeros(len(CONTROLS))) for _ in range(count)])


def test_states_stay_inside_the_limits_and_cover_speech_and_blinks():
    states = many(600)
    for name, column in INDEX.items():
        low, high = LIMITS[name]
        assert low <= states[:, column].min()
        assert states[:, column].max() <= high
    assert states[:, INDEX["mouthPucker"]].max() > 0.9
    assert states[:, INDEX["jawOpen"]].max() > 0.55
    blinks = states[:, INDEX["eyeBlinkLeft"]]
    assert 0.22 < (blinks > 0).float().mean() < 0.38
    assert 0.3 < (blinks[blinks > 0] == 1.0).float().mean() < 0.7
    turned = states[:, INDEX["headYaw"]].abs()
    assert 12.0 < turned.max() <= 15.0


def test_the_photos_own_expression_sometimes_lingers():
    own = torch.zeros(len(CONTROLS))
    own[INDEX["mouthSmileLeft"]] = own[INDEX["headYaw"]] = 5.0
    rng = np.random.default_rng(1)
    states = torch.stack([random_controls(rng, own) for _ in range(200)])
    assert 0.15 < (states[:, INDEX["mouthSmileLeft"]] > 1.0).float().mean() < 0.3
    assert states[:, INDEX["headYaw"]].abs().max() <= 15.0


def test_a_name_without_a_side_moves_both_sides():
    controls = torch.zeros(len(CONTROLS))
    both(controls, "mouthSmile", 0.5, tilt=0.2)
    both(controls, "jawOpen", 0.25)
    assert controls[INDEX["mouthSmileLeft"]] == 0.6
    assert controls[INDEX["mouthSmileRight"]] == 0.4
    assert controls[INDEX["jawOpen"]] == 0.25
    for shapes in MOUTHS.values():
        for name in shapes:
            both(controls, name, 0.1)  # every name of the table is a control


def test_points_in_a_polygon_are_told_from_those_outside():
    square = np.array([[0, 0], [4, 0], [4, 4], [0, 4]], np.float32)
    points = np.array([[2, 2], [5, 2], [-1, 2], [2, 5], [3.9, 0.1]], np.float32)
    assert inside_polygon(points, square).tolist() == [True, False, False, False, True]


def test_normals_point_out_of_an_anticlockwise_triangle():
    places = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32)
    np.testing.assert_allclose(normals(places, np.array([[0, 1, 2]])), [[0, 0, 1]] * 3)


def test_a_strip_has_two_triangles_per_cell():
    assert len(strip(4, 3)) == 2 * 3 * 2
    assert strip(4, 3).max() == 11


def test_hidden_parts_of_an_eye_are_made_from_the_seen_ones():
    away = np.tile(np.linspace(0.0, 3.0, 300), 2).astype(np.float32)
    patch = np.where(away[:, None] < 1.0, 40.0, 220.0).repeat(3, 1).astype(np.float32)
    seen = np.arange(600) < 300
    patch[~seen] = 128.0  # skin of the lid
    filled = fill_eye(patch, seen, away)
    np.testing.assert_allclose(filled[seen], patch[seen])
    hidden = filled[~seen]
    assert np.abs(hidden[away[~seen] < 0.95] - 40.0).max() < 1.0
    assert np.abs(hidden[away[~seen] > 1.2] - 220.0 * 0.95).max() < 1.0


def test_the_inner_rim_lies_between_lip_line_and_mouth_hole():
    rig = Rig.load()
    rim = inner_rim(rig)
    assert 200 < len(rim) < 2000
    assert set(rig.mouth_hole.tolist()) <= set(rim.tolist())
    assert not set(rig.inner_lip.tolist()) & set(rim.tolist())
    assert rig.neutral[rim, 0].abs().max() < 2.6
    assert rig.neutral[rim, 2].max() < 11.4
    assert (rig.part[rim] == Part.FACE).all()


def grinning() -> tuple[Rig, Shape]:
    rig = Rig.load()
    expression = torch.zeros(52)
    expression[INDEX["jawOpen"]] = 0.3
    shape = Shape(
        torch.zeros(60),
        expression,
        expression,
        torch.zeros(3),
        torch.tensor(12.0),
        torch.tensor([200.0, 320.0]),
        torch.zeros(2, 2),
        torch.ones(2),
        torch.tensor(0.1),
    )
    shape = Shape(**{**shape.tensors(), "rest": rest_expression(rig, shape)})
    return rig, Shape(**{**shape.tensors(), "blink_gain": blink_gain(rig, shape)})


def test_the_photos_own_state_maps_every_part_of_the_face_onto_itself():
    rig, shape = grinning()
    photo = np.full((400, 400, 3), 150, np.uint8)
    box = crop_box(shape)
    scene = Scene(rig, shape_in_frame(shape, box, 256), photo, box, 256, np.random.default_rng(0))
    own = own_controls(shape)
    face = person(rig, shape) + (weights(shape, own[None]) @ rig.expression.flatten(1)).unflatten(-1, (-1, 3))
    assert lip_gap_cm(rig, face).mean() > 0.4  # the photo's open mouth, not rest
    solid, triangles, veil, _ = scene.states(own[None])[0]
    background = 41 * 41
    assert triangles.max() == len(solid) - 1
    cheek = background + scene.face[rig.neutral[scene.face, 1].numpy() > 5.0]
    place = (solid[cheek, :2] * [1, -1] + 1) / 2  # 0 to 1 in the frame, y down
    texture = (solid[cheek, 3:5] * [1, 2] - 0.5) * 1.3 + 0.5
    np.testing.assert_allclose(texture, place, atol=2e-3)
    assert veil[:, 8].max() == 0.0  # no lash line on an open eye
    blink = own.clone()
    blink[INDEX["eyeBlinkLeft"]] = 1.0
    assert scene.states(blink[None])[0][2][:, 8].max() > 0.6


def clouds(side_px: int) -> np.ndarray:
    """A picture without edges, so that a place that is a little off shows as a colour that is a little off."""
    y, x = np.mgrid[:side_px, :side_px] / side_px
    waves = [np.sin(9 * x + 4 * y), np.cos(7 * y - 3 * x), np.sin(6 * x * y + 8 * y)]
    return (127 + 90 * np.stack(waves, -1)).astype(np.uint8)


@pytest.fixture
def turned():
    """A scene, its raster and two states: the photo's own, and one that turns, opens the mouth and shuts an eye."""
    pytest.importorskip("moderngl")
    rig, shape = grinning()
    photo, box = clouds(400), crop_box(shape)
    scene = Scene(rig, shape_in_frame(shape, box, 256), photo, box, 256, np.random.default_rng(0))
    raster = Raster(256)
    raster.photo(scene.texture)
    states = torch.stack([own_controls(shape)] * 2)
    for name, value in {"headYaw": 12.0, "headRoll": 5.0, "jawOpen": 0.5, "eyeBlinkLeft": 1.0}.items():
        states[1, INDEX[name]] = value
    return scene, raster, states


def test_the_flow_leads_every_visible_pixel_to_its_colour_in_the_photo(turned):
    scene, raster, states = turned
    truth = scene_truth(scene, raster, states)
    images = np.stack([raster.draw(*layers) for layers in scene.states(states)])
    own = np.abs(truth.flow[0][truth.visible[0] > 0]).max(-1)
    assert np.percentile(own, 97) < 0.1  # the photo itself comes from where it is,
    assert own.max() < 2  # but for the lips, which take the skin beside them
    seen = truth.visible[1] > 0
    assert 0.5 < seen.mean() < 0.99
    rows, columns = np.nonzero(seen)
    at = truth.flow[1][rows, columns].astype(np.float32) + np.stack([columns, rows], -1) + 0.5
    photo = torch.from_numpy(images[0]).permute(2, 0, 1)[None].float()
    grid = torch.from_numpy(at).float()[None, None] / 128 - 1
    sampled = torch.nn.functional.grid_sample(photo, grid, align_corners=False, padding_mode="border")[0, :, 0].T
    off = np.abs(sampled.numpy() - images[1][rows, columns]).max(1)
    assert np.median(off) < 2
    assert (off > 12).mean() < 0.02  # edges, where a pixel shows two surfaces
    still = np.abs(images[0].astype(int) - images[1])[seen].max(1)
    assert np.median(still) > 5  # without the flow it would be another picture


def test_what_is_made_up_is_not_visible_in_the_photo_and_the_matte_is_the_head(turned):
    scene, raster, states = turned
    truth = scene_truth(scene, raster, states)
    inner = truth.landmarks[1, [62, 66]].mean(0).round().astype(int)  # between the open lips
    assert truth.visible[1, inner[1], inner[0]] == 0
    assert truth.matte[1, inner[1], inner[0]] == 255
    assert truth.matte[:, 2, 2].tolist() == [0, 0]
    nose = truth.landmarks[:, 30]
    assert nose[1, 0] - nose[0, 0] > 5  # turned to the picture's right


def test_light_from_the_right_brightens_the_right_side_and_stays_there(turned):
    scene, raster, states = turned
    light = Relight(np.array([0.5, 0.0, 0.0]), np.ones(3))
    ratio = scene_ratio(scene, raster, states, light)
    for turn, landmarks in zip(ratio, scene_truth(scene, raster, states).landmarks, strict=True):
        left, right = (turn[tuple(landmarks[i].round().astype(int)[::-1])].item() for i in (3, 13))
        assert left < 0.9 < 1.1 < right
    assert np.abs(ratio - 1).max() <= 0.56
    grey = np.full((2, 256, 256, 3), 100, np.uint8)
    np.testing.assert_allclose(light.on(grey, ratio), 100 * np.repeat(ratio, 3, -1), atol=1)
