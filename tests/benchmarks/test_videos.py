"""Systems against videos: registration, lips, sharpness, and a system that knows the truth."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks.faces import demo_photos
from benchmarks.quality.command import SYNC_EXPERT
from benchmarks.quality.report import videos_chapter
from benchmarks.quality.sharpness import cpbd, edge_widths
from benchmarks.quality.videos import (
    PHOTO,
    TRUTH,
    Contender,
    NoneDrawnError,
    contenders,
    cut_out,
    face_region,
    lip_distance,
    measure_videos,
)
from models.canvas import Canvas
from models.errors import PhotoError
from models.system import IdentityState
from models.training.clips import FRAME_SAMPLES, Clip, NoClipsError, encoded
from models.training.sync_expert import SyncExpert
from models.visavis.enrol import find_face
from models.visavis.fit import MEDIAPIPE_IRISES, crop
from models.visavis.landmarks import INNER_LIPS, OUTER_LIPS
from models.visavis.surroundings import surroundings
from stream.cli import main

SIDE = 256
FRAMES = 40


def stripes(width, contrast):
    """Vertical bars whose edges are ramps of `width` px."""
    ramp = np.concatenate([np.zeros(24), np.linspace(0, contrast, width + 1), np.full(24, contrast)])
    row = np.resize(np.concatenate([ramp, ramp[::-1]]), 128)
    return np.repeat(np.repeat(row.round().astype(np.uint8)[None, :, None], 128, axis=0), 3, axis=2)


@pytest.mark.parametrize("width", [2, 4, 8])
def test_an_edge_is_as_wide_as_its_ramp(width):
    widths = edge_widths(stripes(width, 160)[..., 0].astype(float))
    assert set(np.unique(widths[1:-1, 10:-10]).tolist()) == {0.0, float(width)}


@pytest.mark.parametrize(
    ("width", "contrast", "sharp"),
    [(2, 160, 1.0), (4, 160, 0.0), (4, 40, 1.0), (8, 40, 0.0)],  # just noticed: 3 px, where contrast is low 5
)
def test_blur_is_noticed_sooner_where_contrast_is_high(width, contrast, sharp):
    assert cpbd(stripes(width, contrast)) == sharp


def test_a_picture_without_edges_has_no_sharpness():
    assert cpbd(np.full((64, 64, 3), 90, np.uint8)) is None


@pytest.fixture(scope="module")
def photo():
    """A demo face as a clip shows it, and its points."""
    whole = demo_photos()[0]
    points = find_face(whole)
    low, high = points.min(axis=0), points.max(axis=0)
    half = 0.9 * (high[1] - low[1])
    x, y = (low + high) / 2
    return crop(whole, (x - half, y - half, x + half, y + half), SIDE), (
        points - (x - half, y - half)
    ) * SIDE / 2 / half


def test_what_was_pasted_back_lies_where_the_photo_has_it(photo):
    picture, points = photo
    square = face_region(points.astype(np.float32), SIDE)
    canvas = surroundings(picture, (40.5, 30.25, 200.5, 190.25), 240)  # not whole pixels, and finer
    identity = IdentityState("any", 1, {}, canvas)
    shown = cut_out(canvas.rgb.permute(1, 2, 0).numpy(), identity, square)
    x0, y0, x1, y1 = square
    truth = picture[y0:y1, x0:x1].astype(int)
    off = np.abs(shown.astype(int) - truth).mean()
    assert off < 1.5
    for way in ((0, 1), (1, 0)):
        assert off < np.abs(np.roll(shown, way, axis=(0, 1)).astype(int) - truth).mean() / 2


def test_lips_are_compared_once_the_heads_lie_on_each_other(photo):
    _, points = photo
    turned = points @ np.array([[0.9, 0.3], [-0.3, 0.9]]) * 1.1 + 7
    assert lip_distance(turned, points) < 1e-6
    moved = points.copy()
    eyes_px = np.linalg.norm(np.subtract(*points[list(MEDIAPIPE_IRISES)]))
    moved[[*OUTER_LIPS, *INNER_LIPS], 1] += 0.05 * eyes_px
    assert abs(lip_distance(moved, points) - 5.0) < 1e-6


class Knowing:
    """Draws the pictures that it was told, each when its turn comes; its frame is the whole picture."""

    name, front_end, frame_px, identity_version, controls = "knowing", "wav2lip_mel80", SIDE, 1, frozenset()
    lookahead_ms = (133, 653)

    def __init__(self, pictures):
        self.pictures = pictures

    def enroll(self, photo, framing):
        rgb = torch.from_numpy(photo.copy()).permute(2, 0, 1)
        return IdentityState(self.name, 1, {}, Canvas(rgb, (0, 0), (0.0, 0.0, float(SIDE), float(SIDE))))

    def init_state(self, batch):
        return SimpleNamespace(drawn=0)

    def step(self, identities, features, controls, state):
        picture = self.pictures[min(state.drawn, len(self.pictures) - 1)]
        state.drawn += 1
        return torch.from_numpy(picture.copy()).permute(2, 0, 1)[None] / 127.5 - 1


@pytest.fixture
def folder(photo, tmp_path):
    """One held-out clip of a face that slides across."""
    picture, points = photo
    pictures = [np.roll(picture, frame, axis=1) for frame in range(FRAMES)]
    track = np.stack([points + np.array([frame, 0]) for frame in range(FRAMES)]).astype(np.float32)
    sound = np.random.default_rng(0).normal(0, 0.1, FRAMES * FRAME_SAMPLES).astype(np.float32)
    jpegs = tuple(encoded(one) for one in pictures)
    for held_out in (True, False):
        clip = Clip(jpegs, track, np.zeros((FRAMES, 70), np.float32), sound, f"p{held_out}", held_out, ())
        clip.save(tmp_path / "videos" / f"p{held_out}" / "clip.npz")
    return tmp_path / "videos"


def test_a_system_that_knows_the_truth_draws_it_at_its_time_whatever_its_look_ahead(folder):
    clip = Clip.read(folder / "pTrue" / "clip.npz")
    system = Knowing([clip.picture(frame) for frame in range(FRAMES)])
    wanted = contenders([system], [0, 600])
    assert [str(one) for one in wanted] == ["knowing, 133 ms", "knowing, 653 ms"]
    report, strips, refused = measure_videos(wanted[1:], folder, 8, SyncExpert.load(SYNC_EXPERT), None)
    assert (report.clips, report.persons, report.seconds, refused) == (1, 1, 1.6, [])
    truth, drawn, still = (report.scores[name] for name in (TRUTH, "knowing, 653 ms", PHOTO))
    assert truth.ssim == 1.0 and truth.psnr_db == 99.0 and truth.lips == 0.0 and truth.silent_gap is None  # noqa: PT018
    assert drawn.ssim > 0.99 > 0.9 > still.ssim  # a frame late: 0.86
    assert drawn.lips < 0.2
    assert (still.follows, truth.follows) == (None, pytest.approx(1.0))
    assert drawn.cpbd == pytest.approx(truth.cpbd, abs=0.02)
    assert drawn.offset_frames == truth.offset_frames
    assert drawn.silent_gap == pytest.approx(still.silent_gap, abs=0.005)
    assert [len(strip) for strip in strips] == [3]
    rows = videos_chapter(report, strips).tables[0].rows
    assert [row[0] for row in rows] == [PHOTO, "knowing, 653 ms", TRUTH]


def test_a_clip_that_a_system_refuses_is_told(folder):
    class Refusing(Knowing):
        def enroll(self, photo, framing):
            raise PhotoError("no_face", "show a face")

    with pytest.raises(NoneDrawnError, match="that every system can draw, want other clips; clip: show a face"):
        measure_videos([Contender(Refusing([]), 133)], folder, 8, SyncExpert.load(SYNC_EXPERT), None)


def test_a_folder_without_held_out_clips_is_refused(tmp_path):
    with pytest.raises(NoClipsError, match="without held-out clips of 40 frames or more"):
        measure_videos([Contender(Knowing([]), 133)], tmp_path, 8, SyncExpert.load(SYNC_EXPERT), None)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--system", "visavis", "--system", "davs"], "got 2 systems, want one, or --videos to compare them on"),
        (["--weights", "-", "--weights", "-"], "got 2 --weights for 1 systems, want one for each"),
        (["--weights", "nowhere.safetensors"], "got nowhere.safetensors, want files that exist"),
    ],
)
def test_wrong_usage_is_told(options, told, capsys):
    assert main(["eval", *options]) == 2
    assert told in capsys.readouterr().err
