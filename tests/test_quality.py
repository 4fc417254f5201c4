import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from benchmarks.faces import IDENTITIES_DIR, demo_photos
from benchmarks.quality.controls import SWEEPS, ControlReport, Puppet, Sweep, leaks_of, measure_controls
from benchmarks.quality.head_pose import RigidHead
from benchmarks.quality.landmark_warp import warp
from benchmarks.quality.likeness import LikenessReport, PhotoView
from benchmarks.quality.meter import FaceMeter
from benchmarks.quality.page import Chapter, Curve, Line, Table, page
from benchmarks.quality.report import FaceReport, overview, truth_chapter
from benchmarks.quality.similarity import psnr_db, ssim
from benchmarks.quality.speech import SilenceReport, SpeechReport, flicker, measure_speech
from benchmarks.quality.teeth import drift_px
from benchmarks.quality.truth import NoPairsError, Score, TruthReport, measure_truth
from models.rig import vector
from models.training.mesh_points import carried
from models.training.phones import Phone
from models.training.scene import own_controls
from models.training.speech_clips import Clip, to_16_khz
from models.visavis.fit import MEDIAPIPE_68, MEDIAPIPE_IRISES, fit
from models.visavis.ict import Rig, Shape
from models.visavis.landmarks import EYE_GAPS, IRISES
from models.visavis.renderer import inner
from models.visavis.system import Visavis
from stream import probe_sound
from stream.cli import main
from stream.compose import to_pixels


@pytest.fixture(scope="module")
def system():
    return Visavis.load()


@pytest.fixture(scope="module")
def identity(system):
    return system.enroll(demo_photos()[0])


@pytest.fixture(scope="module")
def puppet(system, identity):
    return Puppet(system, identity)


@pytest.fixture(scope="module")
def meter(puppet):
    return FaceMeter(puppet.pose())


@pytest.mark.parametrize("degrees", [-8, 8])
def test_a_picture_turned_in_its_plane_is_seen_to_roll_by_as_much(puppet, meter, degrees):
    turned = np.asarray(Image.fromarray(puppet.pose()).rotate(-degrees, Image.Resampling.BICUBIC))  # PIL turns left
    seen = meter.look([turned])
    assert abs(seen.angles_deg[0, 2] - degrees) < 1.0
    assert abs(seen.angles_deg[0, 0]) < 3.0


@pytest.mark.parametrize(("control", "column"), [("headYaw", 0), ("headPitch", 1), ("headRoll", 2)])
def test_points_that_the_rig_has_turned_are_read_as_turned_while_the_face_grimaces(meter, control, column):
    rest = torch.from_numpy(meter.rest.points_px[0]).float()
    rig = Rig.load()
    shape = fit(rig, rest[list(MEDIAPIPE_68)], rest[list(MEDIAPIPE_IRISES)])
    grimace = {"jawOpen": 0.5, "mouthSmileLeft": 0.8, "browInnerUp": 0.7}
    states = torch.stack([vector({control: degrees, **grimace}) for degrees in (-15.0, 8.0)])
    own = own_controls(shape)
    turned = carried(rig, shape, rest, states + own)
    angles = RigidHead(rig, shape, rest).follow(turned)
    for found, degrees in zip(angles, (-15.0, 8.0), strict=True):
        wanted = torch.zeros(3)
        wanted[column] = degrees
        torch.testing.assert_close(found.angles_deg - shape.angles_deg, wanted, atol=1.0, rtol=0)


def test_lips_are_seen_to_open(puppet, meter):
    seen = meter.look([puppet.pose(jawOpen=0.25), puppet.pose(jawOpen=0.5)])
    assert meter.rest.lip_gap[0] < 0.02 < seen.lip_gap[0] < seen.lip_gap[1]


def test_the_face_at_rest_measures_zero(meter):
    assert np.abs(meter.rest.angles_deg).max() == np.abs(meter.rest.gaze_deg).max() == 0.0
    assert meter.rest.lids_closed[0] == 0.0


def test_irises_that_move_are_a_gaze_and_not_a_head_that_turns(meter):
    points = meter.rest.points_px.copy()
    eye_px = np.linalg.norm(points[0, 33] - points[0, 133])
    points[:, list(IRISES), 0] += 0.1 * eye_px
    points[:, list(IRISES), 1] -= 0.05 * eye_px
    seen = meter.read(points)
    # an eyeball of 1.47 cm behind an eye 3 cm wide: 0.1 of it is asin(0.3 / 1.47)
    assert 8.0 < seen.gaze_deg[0, 0] < 15.0
    assert 4.0 < seen.gaze_deg[0, 1] < 8.0
    assert np.abs(seen.angles_deg).max() < 0.01


def test_lids_that_meet_half_way_are_half_closed_and_touching_ones_closed(meter):
    rest = meter.rest.points_px
    half, shut = rest.copy(), rest.copy()
    for upper, lower in EYE_GAPS:
        half[:, upper] = (rest[:, upper] + rest[:, lower]) / 2
        shut[:, upper] = rest[:, lower]
    np.testing.assert_allclose(meter.read(np.concatenate([half, shut])).lids_closed, [0.5, 1.0], atol=1e-6)


def test_the_face_obeys_and_leaks_are_told(puppet, meter):
    report = measure_controls(puppet, meter)
    assert [sweep.control for sweep in report.sweeps] == list(SWEEPS)
    for sweep in report.sweeps[:3]:  # what the bundled landmark net is sure to see
        assert np.corrcoef(sweep.commanded, sweep.measured)[0, 1] > 0.95
    assert set(report.leaks) == {*SWEEPS, "lips"}
    assert all(other != name for name, worst in report.leaks.items() for other in worst)


def test_a_leak_is_a_share_of_the_other_controls_full_command_and_following_lids_are_none():
    moved = {name: np.eye(7)[row] * values[-1] for row, (name, values) in enumerate(SWEEPS.items())}
    moved["lips"] = np.array([0, 0, 0, 0, 0, 0, 0.1])
    moved["headYaw"] = moved["headYaw"] + np.array([0, 1.0, 0, 0, 0, 0, -0.02])  # a tenth of the pitch, a fifth of lips
    moved["gazePitch"] = moved["gazePitch"] + np.array([0, 0, 0.3, 0, 0, 0.5, 0])
    moved["blink"] = moved["blink"] + np.array([0, 0, 0.15, 9.0, 9.0, 0, 0])  # shut eyes look nowhere
    leaks = leaks_of(moved)
    assert leaks["blink"] == {"headRoll": pytest.approx(0.01)}
    assert leaks["headYaw"] == {"lips": pytest.approx(0.2)}
    assert leaks["gazePitch"] == {"headRoll": pytest.approx(0.02)}


def spoken(names, lengths_s, spoken_s=0.0):
    """A clip of vowels and consonants of these lengths, and the phones said to sound `spoken_s` later than they do."""
    sound = to_16_khz(probe_sound._say(names, lengths_s, pitch_hz=120.0), probe_sound.RATE_HZ)
    ends_s = np.cumsum(lengths_s).tolist()
    return sound, tuple(
        Phone("aa" if name == "a" else "m", start + spoken_s, end + spoken_s)
        for name, start, end in zip(names, [0.0, *ends_s[:-1]], ends_s, strict=True)
    )


def test_lips_open_for_a_vowel_and_close_for_an_m(system, identity, meter):
    sound, phones = spoken(["a", "m", "a"], [0.3, 0.12, 0.3])
    # hearing 80 ms ahead the lips close a frame before the last vowel ends
    report = measure_speech(system, identity, meter, [Clip(sound, phones[:2])], 80)
    assert report.closures == 1
    assert report.open_reference > 0.01
    assert report.vowels_closed_share == 0.0
    assert report.late_frames == []  # too short to tell


def test_lips_move_with_the_phones_and_are_seen_to_be_early_where_the_phones_are_said_to_sound_later(
    system, identity, meter
):
    lengths_s = [0.3, 0.14, 0.22, 0.1, 0.4, 0.12, 0.26, 0.16, 0.3, 0.1, 0.24, 0.14, 0.36, 0.12, 0.28]
    names = ["a", "m"] * 7 + ["a"]
    report = measure_speech(system, identity, meter, [Clip(*spoken(names, lengths_s))], 80)
    assert report.on_time_share == 1.0
    later = measure_speech(system, identity, meter, [Clip(*spoken(names, lengths_s, spoken_s=0.16))], 80)
    assert later.late_frames == [report.late_frames[0] - 4]
    assert later.on_time_share == 0.0


def report_of(name, yaw_error_deg, closed_share, offsets_frames):
    sweeps = [Sweep("headYaw", [15], [14], yaw_error_deg), Sweep("blink", [1.0], [0.9], 0.1)]
    said = SpeechReport(80, 10, closed_share, 0.0, [1, 2], 0.5, 0.05, 0.5, offsets_frames, [1.0, 3.0], 0.5)
    return FaceReport(
        name,
        0.5,
        ControlReport(sweeps, {"headYaw": {"lips": 0.05}}),
        SilenceReport(0.01, 0.001, 0.1),
        LikenessReport(0.8, None),
        None,
        [said],
    )


def test_the_overview_is_the_mean_over_photos_and_counts_those_that_miss_a_bar():
    whole = overview([report_of("a", 1.0, 0.95, [0, 2]), report_of("b", 4.0, 0.85, [0, 1])])
    rows = {row[0]: row[1:] for row in whole.tables[0].rows}
    assert rows["headYaw: mean error, degrees"] == (2.5, "at most 2", "1 of 2")
    assert rows["blink closes the eyes by, share"] == (0.9, "at least 0.8", "0 of 2")
    assert rows["closed on p b m at 80 ms, share of 10"] == (pytest.approx(0.9), "at least 0.9", "1 of 2")
    assert rows["distance to the photo by the recogniser"] == (None, "at most 0.3", "0 of 2")
    by_name = {curve.name: list(curve.values) for curve in whole.curves}
    assert by_name["mean offset, frames"] == [0.75]
    assert by_name["sync confidence"] == [2.0]


def test_the_truth_chapter_has_a_row_for_each_candidate_and_area_in_the_order_of_its_heads():
    score = Score(0.9, 30.0, 1.5, None)
    scores = {name: {"face": score, "mouth": score} for name in ("model", "landmark warp", "photo itself")}
    ahead = {"face": {"ssim": 1.0, "psnr_db": 0.9, "landmarks": 0.8}, "mouth": {"ssim": 0.7}}
    chapter = truth_chapter(TruthReport(3, 12, 256, scores, ahead), [])
    rows = chapter.tables[0].rows
    assert [row[0] for row in rows][:2] == ["face: model", "face: landmark warp"]
    assert rows[0][1:] == (0.9, 30.0, 1.5, None)
    assert rows[3] == ("face: model ahead of both, share of pairs", 1.0, 0.9, 0.8, None)
    assert len(rows) == 8


def flat(level, side=16):
    return np.full((side, side, 3), level, np.uint8)


def test_ssim_of_flat_and_inverted_pictures_is_what_the_formula_gives_by_hand():
    # no variance: only the luminance term (2 * 100 * 150 + C1) / (100^2 + 150^2 + C1) is left, C1 = 2.55^2
    assert ssim(flat(100), flat(150)) == pytest.approx((30000 + 6.5025) / (32500 + 6.5025), abs=1e-9)
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 1), np.uint8).repeat(3, axis=2)
    assert ssim(noise, noise) == pytest.approx(1.0)
    assert ssim(noise, 255 - noise) < -0.8


def test_ssim_weighs_its_window_as_a_gaussian_of_one_and_a_half_pixels():
    dot = flat(100, side=11)
    dot[5, 5] = 200
    # one window; the dot's weight w is that of the middle, so mean_x = 100 + 100 w, var_x = 10^4 w (1 - w)
    weight = 1 / np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2).sum() ** 2
    mean, var = 100 + 100 * weight, 1e4 * weight * (1 - weight)
    c1, c2 = 2.55**2, 7.65**2
    by_hand = (2 * mean * 100 + c1) * c2 / ((mean**2 + 100**2 + c1) * (var + c2))
    assert ssim(dot, flat(100, side=11)) == pytest.approx(by_hand, rel=1e-9)


def test_psnr_of_an_error_of_one_level_is_20_log_255():
    assert psnr_db(flat(100), flat(101)) == pytest.approx(20 * np.log10(255))
    assert psnr_db(flat(100), flat(100)) == 99.0


def test_a_landmark_warp_moves_what_lies_at_the_landmarks_and_leaves_the_edge():
    photo = np.zeros((64, 64, 3), np.uint8)
    photo[28:36, 18:26] = 255
    points = np.array([[22.0, 32.0], [40.0, 20.0], [40.0, 44.0], [30.0, 10.0]])
    wanted = points + np.array([[6.0, 4.0], [0, 0], [0, 0], [0, 0]])
    bent = warp(photo, points, wanted)
    rows, columns = np.nonzero(bent[..., 0] > 127)
    assert abs(columns.mean() + 0.5 - 28.0) < 1.0
    assert abs(rows.mean() + 0.5 - 36.0) < 1.0
    assert np.array_equal(warp(photo, points, points), photo)


def test_a_photo_is_framed_where_the_points_ask_and_stays_sharp():
    noise = np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8)
    photo = Image.fromarray(noise).resize((400, 400), Image.Resampling.BICUBIC)
    points = np.array([[100.0, 100.0], [300.0, 110.0], [200.0, 320.0]])
    frame, there = PhotoView(np.asarray(photo), points).framed((points - 50) / 2.5, 120)
    np.testing.assert_allclose(there, (points - 50) / 2.5, atol=1e-6)
    wanted = np.asarray(photo.resize((120, 120), Image.Resampling.LANCZOS, box=(50, 50, 350, 350))).astype(float)
    assert np.abs(frame - wanted).max() <= 1.0


def test_flicker_is_the_deviation_over_time_of_the_upper_corners_alone():
    still = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    moving = still.copy()
    moving[100:, :] ^= 255
    assert flicker([still, moving]) == 0.0
    lighter = np.minimum(still, 253) + np.uint8(2)
    assert flicker([np.minimum(still, 253), lighter]) == pytest.approx(1.0)


def test_teeth_that_drift_by_half_a_pixel_are_seen_to_and_flat_ones_not_at_all():
    rows, columns = np.mgrid[0:40, 0:60]

    def teeth(right_px, down_px, light=1.0):
        wave = np.sin((columns - right_px) / 2.5) + np.cos((rows - down_px) / 2.0)
        return (light * (120 + 40 * wave)).round().astype(np.uint8)[..., None].repeat(3, axis=2)

    box = (10, 10, 50, 30)
    assert drift_px([teeth(0, 0), teeth(0.3, 0.4), teeth(0.6, 0.8)], box) == pytest.approx(0.5, abs=0.06)
    assert drift_px([teeth(0, 0), teeth(0, 0, light=0.9)], box) == pytest.approx(0.0, abs=0.05)
    assert drift_px([flat(120, side=60), flat(120, side=60)], box) is None


@pytest.fixture(scope="module")
def pairs(system, identity, tmp_path_factory):
    """One held-out person whose truth is what the system itself draws."""
    shape = {name: t.numpy()[None] for name, t in Shape.from_tensors(identity.tensors, "shape.").tensors().items()}
    controls = [vector({}), vector({"jawOpen": 0.5}), vector({"headYaw": 12, "mouthSmileLeft": 0.5})]
    photo = to_pixels(F.avg_pool2d(inner(identity.tensors["photo"][None]), 2))  # kept at twice its pixels
    drawn = [to_pixels(system.draw([identity], values[None])) for values in controls[1:]]
    folder = tmp_path_factory.mktemp("pairs")
    np.savez(
        folder / "pairs-000.npz",
        images=np.stack([photo, *drawn])[None],
        controls=np.stack([values.numpy() for values in controls])[None],
        held_out=np.array([True]),
        set=np.array(["demo"]),
        **shape,
    )
    return folder


def test_the_truth_table_tells_the_model_from_a_warp_and_from_the_photo(system, pairs):
    report, strips = measure_truth(system, pairs, None)
    assert (report.persons, report.pairs, report.frame_px) == (1, 2, 256)
    for area in ("face", "mouth"):
        model, bent, photo = (report.scores[name][area] for name in ("model", "landmark warp", "photo itself"))
        assert model.ssim > 0.97 > bent.ssim > photo.ssim
        assert model.psnr_db > bent.psnr_db > photo.psnr_db
        assert model.landmarks < 1.0 < photo.landmarks
        assert report.ahead[area]["ssim"] == 1.0
    assert [len(strip) for strip in strips] == [4]


def test_pairs_without_a_held_out_person_are_refused(system, pairs, tmp_path):
    with np.load(pairs / "pairs-000.npz") as file:
        np.savez(tmp_path / "pairs-000.npz", **{**file, "held_out": np.array([False])})
    with pytest.raises(NoPairsError, match="held-out persons"):
        measure_truth(system, tmp_path, None)


def test_the_page_says_what_missed_its_bar_and_who_was_refused():
    lines = [
        Line("good", 1.0, most=2.0),
        Line("bad", 3.0, most=2.0),
        Line("low", 0.1, least=0.5),
        Line("none", None, 1),
    ]
    assert [line.holds for line in lines] == [True, False, False, None]
    chapter = Chapter(
        "face.png",
        lines,
        [Sweep("headYaw", [-5, 5], [-4, 4.5], 0.7)],
        [Curve("closed", [0, 100, 200], [0.5, None, 1.0])],
        [Table(("what", "value"), [("<y>", 0.12345), ("none", None)])],
    )
    text = page("T", [chapter], [("<x>", "no face")])
    assert text.count('class="missed"') == 2
    assert "&lt;x&gt;: no face" in text
    assert "headYaw" in text
    assert "<td>&lt;y&gt;</td><td>0.1235</td>" in text
    assert '<polyline points="0.0,75.0 150.0,0.0"/>' in text  # a curve leaves out what is not known


def test_the_command_measures_a_photo_and_names_a_refused_one(tmp_path, capsys):
    blank = tmp_path / "blank.png"
    Image.new("RGB", (300, 300), "grey").save(blank)
    photo = sorted(p for p in IDENTITIES_DIR.iterdir() if p.suffix == ".jpg")[0]
    sheet = tmp_path / "sheet.html"
    assert main(["eval", str(photo), str(blank), "--out", str(sheet), "--json", "-"]) == 0
    whole = json.loads(capsys.readouterr().out)
    assert "no face" in whole["refused"]["blank.png"]
    [face] = whole["faces"]
    assert face["photo"] == photo.name
    assert face["silence"]["tremble"] < 0.01
    assert face["silence"]["flicker_levels"] < 1.0
    assert face["likeness"]["mouth_sharpness"] > 0.5
    assert "<svg" in sheet.read_text()


def test_a_missing_file_is_named(tmp_path, capsys):
    assert main(["eval", str(tmp_path / "nobody.png")]) == 2
    assert "nobody.png" in capsys.readouterr().err
