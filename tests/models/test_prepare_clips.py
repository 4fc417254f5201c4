"""Videos to clips: what is kept, what is left out and why, and that a rerun goes on."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import models
from models.training.clips import Clip, ClipSet, NoClipsError
from models.training.corpus import is_held_out
from models.training.crops import faces, mesh_points, mouth_centres, places, windows
from models.training.face_track import RejectedError, follow_face
from models.training.layouts import Source, Word
from models.training.prepare_clips import LEDGER, OtherCorpusError, Piece, prepare
from models.visavis.photo_checks import eye_distance_px
from stream import cli
from tests.stream.films import voice, write_film

SHOWN = 26


def portrait(side=192):
    photo = Image.open(Path(models.__file__).parent / "identities" / "ada.jpg").convert("RGB")
    width, height = photo.size
    small = photo.resize((side, round(height * side / width)), Image.Resampling.BICUBIC)
    return np.asarray(small)[:side]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data set of two videos: a face that moves to the right and down, and no face at all."""
    folder = tmp_path_factory.mktemp("videos")
    wide = np.pad(portrait(), ((8, 8), (8, 8), (0, 0)), mode="edge")
    moving = [wide[8 - i // 4 :, 8 - i // 4 :][:192, :192] for i in range(SHOWN)]
    (folder / "ann").mkdir()
    write_film(folder / "ann" / "talks.mkv", moving, sound=voice(1.2))
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)] * SHOWN
    write_film(folder / "ann" / "noise.mkv", noise, sound=voice(1.2))
    return folder


@pytest.fixture(scope="module")
def corpus(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("corpus")
    words = ["corpus", "videos", "--data", str(data), "--out", str(out), "--size", "128"]
    assert cli.main(words) == 0
    return out


@pytest.fixture(scope="module")
def clip(corpus):
    (path,) = corpus.glob("*/*.npz")
    return Clip.read(path)


def test_the_ledger_tells_what_became_of_each_video(corpus):
    lines = [json.loads(line) for line in (corpus / LEDGER).read_text().splitlines()]
    assert [(line["video"], line["fate"], line["clips"]) for line in lines] == [
        ("ann/noise.mkv", "no face", 0),
        ("ann/talks.mkv", "kept", 1),
    ]


def test_a_clip_shows_the_face_with_its_points_and_its_sound(clip):
    assert (len(clip), clip.held_out) == (SHOWN, is_held_out(clip.person))
    np.testing.assert_allclose(clip.sound, voice(1.2)[: 640 * SHOWN], atol=1e-3)
    assert clip.picture(0).shape == (128, 128, 3)
    # the square is 4.4 * 1.3 distances of the eyes wide
    assert eye_distance_px(clip.points_px[0]) == pytest.approx(128 / (4.4 * 1.3), rel=0.03)
    across = clip.points_px[:, 4, 0]  # the nose moves by 6 of the video's pixels
    per_px = 128 / (4.4 * 1.3) / eye_distance_px(clip.points_px[0])
    assert across[-1] - across[0] == pytest.approx(6 * 0.5, abs=2.5 * per_px)
    assert clip.coefficients.shape == (SHOWN, 70)
    assert np.abs(np.degrees(clip.coefficients[:, 64:67])).max() < 20


def test_each_system_finds_eyes_and_mouth_where_its_crop_has_them(clip):
    still = places(clip, "tavce")
    assert len({place.corner for place in still}) == 1
    eyes = still[0].to_crop(clip.points_px[0].astype(float))[[468, 473]]
    assert eyes[1, 0] - eyes[0, 0] == pytest.approx(1 / 4.4, rel=0.03)
    for frame in (0, SHOWN - 1):
        mesh = clip.points_px[frame].astype(float)
        davs = places(clip, "davs")[frame].to_crop(mesh)
        # systems.md 1.1: eyes 80 px apart on the canvas, of which 268 px are cut and resized to 260 of 256
        assert davs[473, 0] - davs[468, 0] == pytest.approx(80 / 268 * 260 / 256, rel=0.15)
    mouths = mouth_centres(clip, "vox", range(SHOWN), 192)
    # PC-AVS keeps the mouth at (112, 120) of 224, less the corner (16, 0), whatever the head does
    assert np.abs(mouths.numpy() - (96, 120)).max() < 8
    assert mouths.std(0).max() < 1.5
    assert faces(clip, "vox", [0, 3], 64).shape == (2, 3, 64, 64)
    meshes = mesh_points(clip, "tavce", [0, 3])
    assert np.abs(meshes[0, [468, 473]].numpy() - eyes).max() < 1e-6


def test_windows_are_those_of_the_stream(clip):
    heard = windows(clip, "wav2lip_mel80", [2, 20])
    assert heard.shape == (2, 16, 80)
    assert heard[0].max() == -4.0  # the first fifth is silent
    assert heard[1].max() > 0
    assert windows(clip, "mfcc12", [4]).shape == (1, 20, 12)
    assert windows(clip, "lws_mel80", [4]).shape == (1, 20, 80)


def test_a_rerun_reads_nothing_again_and_another_size_is_refused(data, corpus):
    def never(source, frames):
        raise AssertionError(source)

    ann = Source("ann/talks.mkv", data, data, "00", False)
    report = prepare([ann], never, corpus, 128, quiet=True)
    assert (report.clips, report.fates) == (1, {"kept": 1})
    with pytest.raises(OtherCorpusError, match="another --out"):
        prepare([ann], never, corpus, 64, quiet=True)


def test_a_crash_keeps_what_is_written_and_the_video_it_stopped_at_is_read_again(tmp_path):
    sources = [Source(f"{i}.mp4", tmp_path, tmp_path, "00", False) for i in range(3)]
    read = []

    def silent(source, frames):
        read.append(source.name)
        if source.name == "1.mp4" and len(read) == 2:
            raise KeyboardInterrupt
        raise RejectedError("silent")

    with pytest.raises(KeyboardInterrupt):
        prepare(sources, silent, tmp_path / "out", 64, quiet=True)
    report = prepare(sources, silent, tmp_path / "out", 64, quiet=True)
    assert read == ["0.mp4", "1.mp4", "1.mp4", "2.mp4"]
    assert report.fates == {"silent": 3}


def test_short_pieces_are_left_out(tmp_path):
    def short(source, frames):
        yield Piece(np.zeros((5, 64, 64, 3), np.uint8), np.zeros(3200, np.float32), 0, False)

    report = prepare([Source("a", tmp_path, tmp_path, "00", False)], short, tmp_path, 64, quiet=True)
    assert (report.fates, report.clips) == ({"short": 1}, 0)


def test_two_faces_and_a_cut_to_another_place_are_told():
    face = portrait(160)
    with pytest.raises(RejectedError, match="several faces"):
        follow_face(np.stack([np.concatenate([face, face], 1)]))
    left, right = (np.pad(face, ((0, 0), side, (0, 0)), mode="edge") for side in ((0, 160), (160, 0)))
    with pytest.raises(RejectedError, match="another scene"):
        follow_face(np.stack([left, right]))


def test_a_set_holds_one_part_and_knows_persons_and_words(clip, tmp_path):
    for number, (person, held_out) in enumerate([("aa", False), ("bb", False), ("cc", True)]):
        said = (Word("hello", 0.1, 0.4),) if person == "bb" else ()
        replace(clip, person=person, held_out=held_out, words=said).save(tmp_path / person / f"{number}.npz")
    learning, kept = (ClipSet(tmp_path, held_out=part, frames=20) for part in (False, True))
    assert [one.person for one in learning.clips] == ["aa", "bb"]
    assert [one.person for one in kept.clips] == ["cc"]
    assert (learning.persons, learning.vocabulary) == (["aa", "bb", "cc"], ["hello"])
    again = learning[1]
    assert again.words[0].text == "hello"
    np.testing.assert_array_equal(again.picture(5), clip.picture(5))
    np.testing.assert_allclose(again.points_px, clip.points_px, atol=1 / 64)
    assert learning.fingerprint() != kept.fingerprint()
    with pytest.raises(NoClipsError, match="training clips of 99 frames"):
        ClipSet(tmp_path, held_out=False, frames=99)
