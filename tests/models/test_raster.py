"""OpenGL drawing (only where the `[train]` extra is installed), and the files of pairs."""

from pathlib import Path

import numpy as np
import pytest
import torch

from models.training import pairs
from models.training.pairs import Person, read, save
from models.training.raster import Raster, vertices
from models.visavis.ict import Shape

QUAD = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
NOTHING = np.zeros((0, 3), np.int32)


def quad(x0: float, x1: float, z: float, paint: tuple[float, float, float, float], shade: float = 1.0) -> np.ndarray:
    place = np.array([[x0, 0, z], [x1, 0, z], [x1, 32, z], [x0, 32, z]], np.float32)
    texel = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    return vertices(place, texel, np.tile(np.array(paint, np.float32), (4, 1)), np.full(4, shade, np.float32), 32, 10.0)


def test_textures_paint_depth_and_veil_land_where_they_should():
    pytest.importorskip("moderngl")
    raster = Raster(32)
    photo = np.zeros((64, 64, 3), np.uint8)
    photo[:32], photo[32:] = (250, 0, 0), (0, 0, 250)
    raster.photo(photo)
    solid = np.concatenate([quad(0, 32, -5, (0, 0, 0, 0)), quad(0, 16, 5, (0, 1, 0, 1), shade=0.5)])
    veil = quad(16, 32, 0, (1, 1, 1, 0.5))
    plain = raster.draw(solid, np.concatenate([QUAD, QUAD + 4]), veil[:0], NOTHING)
    assert plain[16, 4].tolist() == pytest.approx([0, 128, 0], abs=2)  # the nearer one, half lit
    assert plain[4, 24].tolist() == [250, 0, 0]  # the photo's top is the picture's top
    assert plain[28, 24].tolist() == [0, 0, 250]
    veiled = raster.draw(solid, np.concatenate([QUAD, QUAD + 4]), veil, QUAD)
    assert veiled[28, 24].tolist() == pytest.approx([128, 128, 252], abs=2)
    assert veiled[16, 4].tolist() == plain[16, 4].tolist()


def test_numbers_are_drawn_as_they_are_the_nearest_ones():
    pytest.importorskip("moderngl")
    raster = Raster(32)
    solid = np.concatenate([quad(0, 32, -5, (0, 0, 0, 0)), quad(0, 16, 5, (0, 0, 0, 0))])
    values = np.repeat(np.array([[1e5, -3.25, 0, 1], [7, 8, 9, 2]], np.float32), 4, axis=0)
    seen = raster.trace(solid, values, np.concatenate([QUAD, QUAD + 4]))
    assert seen[16, 4].tolist() == [7, 8, 9, 2]
    assert seen[16, 24].tolist() == [1e5, -3.25, 0, 1]


def test_cards_are_cut_out_by_their_textures_alpha():
    pytest.importorskip("moderngl")
    raster = Raster(32)
    raster.photo(np.full((4, 4, 3), 200, np.uint8))
    leaf = np.full((32, 32, 4), 255, np.uint8)
    leaf[:, :16, 3] = 0
    corners = quad(0, 32, 5, (0, 0, 1, 1))[QUAD.ravel()]
    back = quad(0, 32, -5, (0, 0, 0, 0))
    drawn = raster.draw_clothed(back, QUAD[:1], [(corners, leaf)], back[:0], NOTHING)
    assert drawn[8, 24].tolist() == [0, 0, 255, 255]  # the card
    assert drawn[4, 8].tolist() == [200, 200, 200, 255]  # what shows through its hole
    assert drawn[28, 8].tolist() == [0, 0, 0, 0]  # nothing


def test_two_rasters_do_not_draw_into_each_other():
    pytest.importorskip("moderngl")
    rasters = [Raster(32), Raster(64)]
    for raster, level in zip(rasters, (60, 180), strict=True):
        raster.photo(np.full((4, 4, 3), level, np.uint8))
    part = quad(0, 8, 0, (0, 0, 0, 0))  # packed for 32 px: a quarter of the width
    shown = [raster.draw(part, QUAD, part[:0], NOTHING) for raster in rasters]
    assert [picture.shape for picture in shown] == [(32, 32, 3), (64, 64, 3)]
    assert [picture[2, 2, 0] for picture in shown] == [60, 180]
    assert [picture[2, -2, 0] for picture in shown] == [0, 0]


def test_a_file_of_pairs_holds_shapes_controls_and_no_names(tmp_path: Path):
    sizes = {"identity": (60,), "expression": (52,), "rest": (52,), "angles_deg": (3,), "scale_px_per_cm": ()}
    sizes |= {"centre_px": (2,), "gaze_deg": (2, 2), "blink_gain": (2,), "residual_cm": ()}
    people = [
        Person(
            images=np.full((3, 8, 8, 3), value, np.uint8),
            controls=np.full((3, 57), value, np.float32),
            shape=Shape(**{name: torch.full(size, float(value)) for name, size in sizes.items()}),
            held_out=value == 2,
            folder="grid",
            valid=np.arange(4, dtype=np.float32),
        )
        for value in (1, 2)
    ]
    save(tmp_path / "pairs-000.npz", people)
    assert [p.name for p in tmp_path.iterdir()] == ["pairs-000.npz"]  # nothing half written stays
    with np.load(tmp_path / "pairs-000.npz") as file:
        assert set(file.files) == {"images", "controls", "held_out", "set", "valid", *sizes}
        assert file["images"].shape == (2, 3, 8, 8, 3)
        assert file["gaze_deg"][1].tolist() == [[2, 2], [2, 2]]
        assert file["held_out"].tolist() == [False, True]
        assert file["set"].tolist() == ["grid", "grid"]
    again = list(read(tmp_path / "pairs-000.npz"))
    assert [p.held_out for p in again] == [False, True]
    np.testing.assert_array_equal(again[1].images, people[1].images)
    assert again[1].shape.tensors().keys() == people[1].shape.tensors().keys()
    torch.testing.assert_close(again[1].shape.gaze_deg, people[1].shape.gaze_deg)


def test_a_last_file_that_is_not_full_has_the_next_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    found = [(None, number) for number in range(27)]  # of 60 asked for
    monkeypatch.setattr(pairs, "usable", lambda *_: iter(found))
    monkeypatch.setattr(pairs, "make_person", lambda *args: args[4])
    monkeypatch.setattr(pairs, "Raster", lambda size_px: None)
    monkeypatch.setattr(pairs.Corpus, "photo", lambda *_: None)
    written: dict[str, list[int]] = {}
    monkeypatch.setattr(pairs, "save", lambda path, people: written.update({path.name: people}))
    pairs.make_pairs(tmp_path, tmp_path, persons=60, states=2, size_px=8)
    assert written == {"pairs-000.npz": list(range(25)), "pairs-001.npz": [25, 26]}
