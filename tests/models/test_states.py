"""Random states, and what a scene makes up."""

import numpy as np
import torch

from models.rig import CONTROLS, INDEX, LIMITS
from models.training.scene import Scene, fill_eye, inner_rim, inside_polygon, normals, own_controls, strip
from models.training.states import MOUTHS, both, random_controls
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
    assert 9.0 < turned.max() <= 12.0


def test_the_photos_own_expression_sometimes_lingers():
    own = torch.zeros(len(CONTROLS))
    own[INDEX["mouthSmileLeft"]] = own[INDEX["headYaw"]] = 5.0
    rng = np.random.default_rng(1)
    states = torch.stack([random_controls(rng, own) for _ in range(200)])
    assert 0.15 < (states[:, INDEX["mouthSmileLeft"]] > 1.0).float().mean() < 0.3
    assert states[:, INDEX["headYaw"]].abs().max() <= 12.0


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
