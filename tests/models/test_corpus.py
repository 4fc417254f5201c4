"""The corpus, from a made-up data folder without any person."""

import csv
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.errors import EmptySheetError
from models.training.corpus import Corpus, Portrait, balanced, choose, mixed, person_hash, same_person, verdict
from models.training.fits import fit_all, report
from models.training.grid import points_px, smooth
from models.training.grid_frames import spread, steady_box
from models.training.landmark_crops import list_photos
from models.training.sheets import stacked, warped, with_mesh
from models.training.truth import Truth
from models.visavis.fit import crop_box, shape_in_frame
from models.visavis.ict import Rig, Shape, pose


def encode(points: np.ndarray, size_px: int) -> np.ndarray:
    return np.round(32768 * points / size_px + 16384).astype(np.uint16)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two officials' folders that share one person, and four faces."""
    rng = np.random.default_rng(0)
    (tmp_path / "landmarks").mkdir()
    files = {
        "us-officials-416": [f"a{i}.jpg" for i in range(6)],
        "congress-portraits": [f"b{i}.jpg" for i in range(6)],
        "fairface-subset": [f"c{i}.jpg" for i in range(4)],
    }
    for folder, names in files.items():
        (tmp_path / folder).mkdir()
        points = np.concatenate([rng.uniform(50, 350, (len(names), 478, 2)), np.zeros((len(names), 478, 1))], 2)
        points[:, 13, :2] = points[:, 14, :2]  # closed lips
        points[:, 468, :2], points[:, 473, :2] = (150, 200), (250, 200)
        if folder == "us-officials-416":
            points[2, 14, 1] += 80  # a2 has an open mouth
        marks = encode(points, 400)
        size_px = np.full((len(names), 2), 400, np.uint16)
        np.savez(tmp_path / "landmarks" / f"{folder}.npz", landmarks=marks, name=np.array(names), size_px=size_px)
    with (tmp_path / "us-officials-416" / "same_person_pairs.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("us_officials", "congress_portraits"), ("a2.jpg", "b3.jpg")])
    with (tmp_path / "fairface-subset" / "index.csv").open("w", newline="") as file:
        rows = [
            (name, g, r, 500 if i else 20)
            for i, (name, g, r) in enumerate(zip(files["fairface-subset"], "FFMM", "XYXY", strict=True))
        ]
        csv.writer(file).writerows([("file", "gender", "race", "laplacian_var"), *rows])
    return tmp_path


def test_photos_of_one_person_share_hash_and_split_and_only_one_is_chosen(data: Path):
    portraits = Corpus(data).portraits
    assert len(portraits) == 16
    by_file = {p.file: p for p in portraits}
    assert by_file["a2.jpg"].person == by_file["b3.jpg"].person
    assert by_file["a2.jpg"].held_out == by_file["b3.jpg"].held_out
    assert len({p.person for p in portraits}) == 15
    chosen = [p.file for p in choose(portraits, 100)]
    assert "b3.jpg" in chosen  # the closed mouth is preferred
    assert "a2.jpg" not in chosen
    assert "c0.jpg" not in chosen  # blurred
    assert len(chosen) == 14


def test_every_trainer_holds_the_same_people_out(data: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("models.training.corpus.HELD_OUT_PERCENT", 50)  # of fifteen persons some fall on either side
    renderer = {(p.folder, p.file): (p.person, p.held_out) for p in Corpus(data).portraits}
    landmarks = {(p.source, p.name): (p.person, p.held_out) for p in list_photos(data)}
    assert landmarks == renderer
    assert {held_out for _, held_out in renderer.values()} == {False, True}


def test_landmarks_are_decoded_to_pixels(data: Path):
    portrait = Corpus(data).portraits[0]
    np.testing.assert_allclose(portrait.iris_px, [[250, 200], [150, 200]], atol=0.02)  # the person's left comes first
    assert portrait.eyes_px == pytest.approx(100, abs=0.05)


def test_about_eight_percent_are_held_out_and_always_the_same():
    portrait = Portrait("s", "f", "0" * 12, "", torch.zeros(478, 2), True)
    held = [replace(portrait, person=person_hash(str(i))).held_out for i in range(3000)]
    assert 0.06 < np.mean(held) < 0.10
    assert person_hash("x") == "2d711642b726"


def test_same_person_joins_chains():
    stands = same_person([("a", "b"), ("c", "d"), ("b", "c"), ("x", "y")])
    assert stands["a"] == stands["b"] == stands["c"] == stands["d"]
    assert stands["x"] == stands["y"] != stands["a"]


def test_every_portrait_is_fitted_once_and_every_reject_has_its_reason(data: Path, tmp_path: Path):
    fits = fit_all(data, tmp_path / "fits")
    assert [(f.folder, f.row) for f in fits[5:7]] == [("us-officials-416", 5), ("congress-portraits", 0)]
    found = report(fits)
    assert found.portraits == sum(sum(fates.values()) for fates in found.sets.values()) == 16
    by_place = {(f.folder, f.row): f for f in fits}
    assert by_place["us-officials-416", 2].fate == "other photo"  # the one with closed lips is taken
    assert by_place["us-officials-416", 2].person == by_place["congress-portraits", 3].person
    assert by_place["fairface-subset", 0].fate == "blurred"
    assert len(found.rejects) == 16 - sum(fates.get("kept", 0) for fates in found.sets.values())
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "fits").iterdir()}
    assert fit_all(data, tmp_path / "fits") == fits
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "fits").iterdir()} == written
    assert all(name not in str(found) for name in ("a2.jpg", "b3.jpg"))


def test_a_mesh_is_drawn_where_the_rig_is():
    rig = Rig.load()
    shape = neutral()
    place = pose(rig, shape, torch.zeros(1, 57))[0].numpy()
    drawn = with_mesh(np.zeros((300, 300, 3), np.uint8), rig, place, np.array([[20.0, 30.0]]), "caption")
    assert drawn[30, 20].tolist() == [255, 60, 60]
    nose = place[rig.landmarks68[30]].round().astype(int)
    around = drawn[nose[1] - 8 : nose[1] + 9, nose[0] - 8 : nose[0] + 9]
    assert around[..., 1].max() > 60 > around[..., 0].max()  # green
    assert drawn[:40, 200:].max() == 0


def test_a_sheet_has_a_row_each_and_ends_short_ones_in_black():
    white = np.full((4, 5, 3), 255, np.uint8)
    sheet = stacked([[white, white], [white]])
    assert sheet.shape == (8, 10, 3)
    assert sheet[:4].min() == sheet[4:, :5].min() == 255
    assert sheet[4:, 5:].max() == 0
    with pytest.raises(EmptySheetError):
        stacked([])


def test_a_sheet_shows_the_photo_moved_by_the_flow_and_what_is_not_known():
    photo = np.arange(12, dtype=np.uint8).reshape(2, 2, 3) + 100
    flow = np.zeros((1, 2, 2, 2), np.float16)
    flow[0, 0, 0] = (1, 1)  # the pixel at the top left shows what the photo has at the bottom right
    visible, matte = np.full((1, 2, 2), 255, np.uint8), np.full((1, 2, 2), 255, np.uint8)
    visible[0, 0, 1] = matte[0, 1, 0] = 0
    (shown,) = warped(photo, Truth(flow, visible, matte, np.zeros((1, 68, 2), np.float32)))
    assert shown[0].tolist() == [photo[1, 1].tolist(), [255, 0, 255]]
    assert shown[1].tolist() == [(photo[1, 0] // 2).tolist(), photo[1, 1].tolist()]


@dataclass(frozen=True)
class Item:
    group: str
    number: int


def test_groups_take_turns():
    items = [Item("p", 0), Item("p", 1), Item("p", 2), Item("q", 3)]
    assert [i.number for i in balanced(items)] == [0, 3, 1, 2]


def test_every_prefix_of_a_mixture_has_its_shares():
    out = mixed((["x"] * 70, 0.7), (["y"] * 30, 0.3))
    assert len(out) == 100
    for n in (10, 20, 50):
        assert out[:n].count("x") == pytest.approx(0.7 * n, abs=1)


def neutral(**changes: torch.Tensor) -> Shape:
    rest = torch.zeros(52)
    shape = Shape(
        torch.zeros(60),
        rest,
        rest,
        torch.zeros(3),
        torch.tensor(10.0),
        torch.tensor([100.0, 200.0]),
        torch.zeros(2, 2),
        torch.ones(2),
        torch.tensor(0.1),
    )
    return replace(shape, **changes)


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        ({}, "kept"),
        ({"angles_deg": torch.tensor([-11.0, 0, 0])}, "turned"),
        ({"angles_deg": torch.tensor([0.0, 17, 0])}, "turned"),
        ({"angles_deg": torch.tensor([9.0, 9, 40])}, "kept"),
        ({"residual_cm": torch.tensor(0.3)}, "residual"),
        ({"expression": torch.eye(52)[0] + torch.eye(52)[7]}, "eyes shut"),
    ],
    ids=str,
)
def test_a_verdict_says_why_a_portrait_is_left_out(changes: dict[str, torch.Tensor], want: str):
    assert verdict(Rig.load(), neutral(**changes)) == want


def test_frames_that_the_tracker_missed_are_filled_from_their_neighbours():
    index = np.array([7, 3])
    points = np.zeros((4, 2, 2))
    points[:, 0], points[:, 1] = 10.0, np.array([20.0, 0, 40, 50])[:, None]
    raw = encode(points, 224)
    raw[1] = 0
    got = points_px(raw, index, (3, 7))
    np.testing.assert_allclose(got[:, 0, 0], [20, 30, 40, 50], atol=0.02)
    np.testing.assert_allclose(got[:, 1, 1], [10, 10, 10, 10], atol=0.02)


def test_smoothing_keeps_a_ramp_and_halves_a_spike():
    ramp = torch.arange(6.0)[:, None]
    torch.testing.assert_close(smooth(ramp)[1:-1], ramp[1:-1])
    spike = torch.zeros(5, 1)
    spike[2] = 1.0
    assert smooth(spike).squeeze(1).tolist() == [0.0, 0.25, 0.5, 0.25, 0.0]


def test_spread_starts_where_told_and_takes_the_farthest():
    values = torch.tensor([[0.0], [1.0], [10.0], [4.0]])
    assert spread(values, 1, 3) == [1, 2, 3]
    assert len(spread(values, 0, 9)) == 4


def test_a_steady_box_keeps_neck_and_scale_in_place():
    reference = neutral()
    box = crop_box(reference)
    moved = neutral(scale_px_per_cm=torch.tensor(11.0), centre_px=torch.tensor([130.0, 190.0]))
    still = shape_in_frame(reference, box, 256)
    seen = shape_in_frame(moved, steady_box(reference, box, moved), 256)
    torch.testing.assert_close(seen.centre_px, still.centre_px)
    torch.testing.assert_close(seen.scale_px_per_cm, still.scale_px_per_cm)
