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
