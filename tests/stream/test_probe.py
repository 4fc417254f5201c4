"""The probe's arithmetic against runs whose every delay is known."""

import argparse
import json
import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.probe import ProbeConfig, add_arguments, run, table
from stream.probe_report import Percentiles, Recording, match_onsets, media_ms, report
from stream.probe_sound import QUIET_MS, RATE_HZ, find_onsets, syllable_clips, wav_clip

ORIGIN = 2**32 - 9_000  # the counter wraps 100 ms into the session
BEGAN_MS = 5_000.0  # media time 0, at the microphone
SPOKEN_MS = 700.0  # the same on the microphone's clock
SCREEN_MS = 123.0  # from media time until the picture lights up
VOICE_MS = 131.0
ONSETS_MEDIA_MS = (1_010.0, 3_090.0, 5_555.0, 8_001.0)


def recording(motion_delay_frames=2, drift_per_ms=0.0):
    """250 pictures; the mouth opens `motion_delay_frames` after each onset's picture, for 600 ms."""
    rng = np.random.default_rng(0)
    run_of = Recording(hello={"video_rtp_origin": ORIGIN, "audio_rtp_origin": 7, "lookahead_ms": 40, "system": "s"})
    for f in range(250):
        media = 40.0 * f
        run_of.frames.append(((ORIGIN + 90 * 40 * f) % 2**32, BEGAN_MS + media + SCREEN_MS, BEGAN_MS + media + 90))
        tile = 100 + rng.integers(-1, 2, (48, 48))
        opens = [np.ceil(m / 40) * 40 + 40 * motion_delay_frames for m in ONSETS_MEDIA_MS]
        if any(o <= media < o + 600 for o in opens):
            tile[20:30, 10:40] += 40
        run_of.tiles.append(tile.astype(np.uint8))
        run_of.voice.append((7 + 48 * media, BEGAN_MS + media * (1 + drift_per_ms) + VOICE_MS))
    run_of.onsets_spoken_ms = [SPOKEN_MS + m for m in ONSETS_MEDIA_MS]
    run_of.ends_spoken_ms = [SPOKEN_MS + m + 500 for m in ONSETS_MEDIA_MS]
    looks = np.arange(0, 11_000, 25.0)
    waits = np.where(np.arange(440) % 8, rng.uniform(0, 10, 440), 0)
    run_of.clock = [(SPOKEN_MS + m, BEGAN_MS + m + wait) for m, wait in zip(looks, waits, strict=True)]
    run_of.heard = {m: BEGAN_MS + m + 60 for m in ONSETS_MEDIA_MS}
    return run_of


def test_the_report_finds_the_delays_that_were_put_in():
    result = report(recording())
    waits = [np.ceil(m / 40) * 40 - m for m in ONSETS_MEDIA_MS]  # for the 40 ms grid
    assert result.mic_to_screen_ms.p50 == pytest.approx(SCREEN_MS + np.median(waits), abs=0.1)
    assert result.media_to_screen_ms == Percentiles(SCREEN_MS, SCREEN_MS, SCREEN_MS, 250)
    assert result.first_motion_ms.p50 == pytest.approx(SCREEN_MS + 80 + np.median(waits), abs=0.1)
    assert (result.onsets_played, result.onsets_heard, result.onsets_seen) == (4, 4, 4)
    assert result.closed_after_ms.p50 == pytest.approx(180 + np.median(waits), abs=0.1)  # opens 80 late, for 600
    assert result.av_offset_ms.p50 == pytest.approx(VOICE_MS - SCREEN_MS, abs=0.2)
    assert result.av_drift_ms == pytest.approx(0, abs=0.1)
    assert result.voice_to_ear_ms.p50 == VOICE_MS
    assert result.fps == 25
    assert (result.freezes, result.frames_missing, result.late_on_screen_percent) == (0, 0, 0)


def test_a_mouth_that_never_moves_is_not_seen_to_move():
    result = report(recording(motion_delay_frames=1000))
    assert result.first_motion_ms.n == 0
    assert result.mic_to_screen_ms.n == 4


def test_a_voice_clock_that_runs_slow_shows_as_drift():
    result = report(recording(drift_per_ms=0.002))
    assert result.av_drift_ms == pytest.approx(0.002 * 10_000, rel=0.1)


def test_a_microphone_that_stood_still_is_not_taken_for_a_slow_server():
    run_of = recording()
    stood_ms = 80.0  # the browser's audio thread was late: from here on every sample comes later
    later = SPOKEN_MS + 4_000
    run_of.clock = [(s, p + stood_ms * (s >= later)) for s, p in run_of.clock]
    run_of.frames = [(r, d + stood_ms * (d - SCREEN_MS >= BEGAN_MS + 4_000), at) for r, d, at in run_of.frames]
    run_of.heard = {m: at + stood_ms * (m >= 4_000) for m, at in run_of.heard.items()}
    result = report(run_of)
    assert result.onsets_heard == 4
    assert result.media_to_screen_ms.p50 == pytest.approx(SCREEN_MS, abs=0.1)
    assert result.media_to_screen_ms.p95 == pytest.approx(SCREEN_MS, abs=0.1)


def test_three_lost_pictures_are_one_freeze_and_three_missing():
    run_of = recording()
    del run_of.frames[100:103], run_of.tiles[100:103]
    result = report(run_of)
    assert (result.freezes, result.longest_gap_ms, result.frames_missing) == (1, 160.0, 3)


def test_pictures_are_late_that_miss_their_turn_by_more_than_a_frame():
    run_of = recording()
    for frame, by_ms in ((60, 39.0), (100, 41.0), (101, 5.0)):
        rtp, display, received = run_of.frames[frame]
        run_of.frames[frame] = (rtp, display + by_ms, received)
    del run_of.frames[200], run_of.tiles[200]
    assert report(run_of).late_on_screen_percent == pytest.approx(100 * 2 / 250)


def test_an_onset_that_the_server_did_not_tell_is_counted_and_left_out():
    run_of = recording()
    del run_of.heard[3_090.0]
    result = report(run_of)
    assert (result.onsets_played, result.onsets_heard) == (4, 3)
    assert result.media_to_screen_ms.p50 == SCREEN_MS


def test_an_onset_at_the_very_end_does_not_count_as_unheard():
    run_of = recording()
    run_of.onsets_spoken_ms += [SPOKEN_MS + 9_900.0, SPOKEN_MS + 10_900.0]
    assert report(run_of).onsets_played == 4


def test_late_and_dropped_are_a_share_of_the_frames_that_were_due():
    run_of = recording()
    run_of.stats = {"sent": 990, "late": 5, "dropped": 10}
    assert report(run_of).late_or_dropped_percent == 1.5


def test_an_empty_run_gives_a_report_of_nothing():
    result = report(Recording())
    assert result.mic_to_screen_ms == Percentiles(None, None, None, 0)
    assert json.loads(json.dumps(result.as_json()))["fps"] is None
    assert "0 on screen" in table(result)


@given(origin=st.integers(0, 2**32 - 1), ms=st.integers(-10_000, 10_000_000))
def test_media_time_survives_the_wrap_of_the_rtp_counter(origin, ms):
    assert media_ms(np.array([float((origin + 90 * ms) % 2**32)]), origin, 90)[0] == ms


def test_one_voice_told_twice_is_matched_once():
    assert match_onsets([100.0, 2_000.0], {10.0: 150.0, 60.0: 200.0, 1_910.0: 2_060.0}) == [
        (100.0, 10.0),
        (2_000.0, 1_910.0),
    ]


def test_syllables_begin_at_once_and_differ():
    clips = syllable_clips(4)
    assert all(len(clip.onsets_s) == 1 and clip.onsets_s[0] < 0.002 for clip in clips)
    assert len({len(clip.samples) for clip in clips}) == 4
    assert all(0.2 < float(np.abs(clip.samples).max()) <= 0.36 for clip in clips)


def test_an_onset_needs_a_silence_before_it():
    samples = np.zeros(2 * RATE_HZ, np.float32)
    short, long = RATE_HZ * (QUIET_MS - 100) // 1000, RATE_HZ * (QUIET_MS + 100) // 1000
    marks = [1000, 1000 + short, 1000 + short + long]
    samples[marks] = 0.5
    clip = find_onsets(samples)
    assert clip.onsets_s == (marks[0] / RATE_HZ, marks[2] / RATE_HZ)
    assert clip.end_s == marks[2] / RATE_HZ


def test_a_wav_of_another_rate_keeps_its_onset(tmp_path):
    path = tmp_path / "voice.wav"
    levels = np.zeros((16_000, 2), "<i2")
    levels[8_000:] = 10_000
    with wave.open(str(path), "wb") as file:
        file.setparams((2, 2, 16_000, 0, "NONE", ""))
        file.writeframes(levels.tobytes())
    clip = wav_clip(path)
    assert clip.onsets_s[0] == pytest.approx(0.5, abs=1e-4)
    assert clip.end_s == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("content", [b"", b"RIFF nonsense", b"\0" * 100])
def test_a_file_that_is_no_wav_says_so(tmp_path, content):
    path = tmp_path / "x.wav"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="want a readable 16-bit PCM WAV"):
        wav_clip(path)


def test_options_out_of_range_are_wrong_usage(capsys):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert run(parser.parse_args(["--seconds", "1"])) == 2
    assert "--seconds must be 5 to 86400" in capsys.readouterr().err


def test_the_page_is_told_to_start_by_itself():
    config = ProbeConfig(url="http://localhost:9/", identity="a b", lookahead_ms=80)
    assert config.page_url == "http://localhost:9/?autostart=1&lookahead=80&idle=0&identity=a+b"
