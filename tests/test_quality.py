import json

import numpy as np
import pytest
from PIL import Image

from benchmarks.faces import IDENTITIES_DIR, demo_photos
from benchmarks.quality.controls import Puppet, Sweep, measure_controls
from benchmarks.quality.meter import FaceMeter
from benchmarks.quality.page import Chapter, Line, page
from benchmarks.quality.speech import measure_speech
from models.training.phones import Phone
from models.training.speech_clips import Clip, to_16_khz
from models.visavis.system import Visavis
from stream import probe_sound
from stream.cli import main


@pytest.fixture(scope="module")
def system():
    return Visavis.load()


@pytest.fixture(scope="module")
def identity(system):
    return system.enroll(demo_photos()[0])


@pytest.fixture(scope="module")
def puppet(system, identity):
    return Puppet(system, identity)


@pytest.mark.parametrize("degrees", [-8, 8])
def test_a_picture_turned_in_its_plane_is_seen_to_roll_by_as_much(puppet, degrees):
    rest = puppet.pose()
    turned = np.asarray(Image.fromarray(rest).rotate(-degrees, Image.Resampling.BICUBIC))  # PIL turns to the left
    seen = FaceMeter(rest).look([rest, turned])
    assert abs(seen.angles_deg[1, 2] - seen.angles_deg[0, 2] - degrees) < 1.0
    assert abs(seen.angles_deg[1, 0] - seen.angles_deg[0, 0]) < 3.0


def test_lips_are_seen_to_open(puppet):
    rest = puppet.pose()
    seen = FaceMeter(rest).look([rest, puppet.pose(jawOpen=0.25), puppet.pose(jawOpen=0.5)])
    assert seen.lip_gap[0] < 0.02 < seen.lip_gap[1] < seen.lip_gap[2]


def test_the_face_obeys_and_leaks_are_told(puppet):
    report = measure_controls(puppet)
    assert [sweep.control for sweep in report.sweeps] == ["headYaw", "headPitch", "headRoll"]
    for sweep in report.sweeps:
        assert np.corrcoef(sweep.commanded_deg, sweep.measured_deg)[0, 1] > 0.95
    assert max(share for worst in report.leaks.values() for share in worst.values()) < 0.5
    assert all(other != name for name, worst in report.leaks.items() for other in worst)


def test_lips_open_for_a_vowel_and_close_for_an_m(system, identity, puppet):
    names, lengths_s = ["a", "m", "a"], [0.3, 0.12, 0.3]
    sound = to_16_khz(probe_sound._say(names, lengths_s, pitch_hz=120.0), probe_sound.RATE_HZ)
    ends_s = np.cumsum(lengths_s).tolist()
    phones = tuple(
        Phone("aa" if name == "a" else "m", start, end)
        for name, start, end in zip(names, [0.0, *ends_s[:-1]], ends_s, strict=True)
    )
    report = measure_speech(system, identity, puppet.pose(), [Clip(sound, phones)], 80)
    assert report.closures == 1
    assert report.open_reference > 0.01
    assert report.vowels_closed_share == 0.0


def test_the_page_says_what_missed_its_bar_and_who_was_refused():
    lines = [
        Line("good", 1.0, most=2.0),
        Line("bad", 3.0, most=2.0),
        Line("low", 0.1, least=0.5),
        Line("none", None, 1),
    ]
    assert [line.holds for line in lines] == [True, False, False, None]
    text = page(
        "T", [Chapter("face.png", lines, [Sweep("headYaw", [-5, 5], [-4, 4.5], 0.7)], [])], [("<x>", "no face")]
    )
    assert text.count('class="missed"') == 2
    assert "&lt;x&gt;: no face" in text
    assert "headYaw" in text


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
