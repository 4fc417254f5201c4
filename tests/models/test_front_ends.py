"""The published front ends against their formulas in plain numpy, and against values of the libraries they name."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.audio import KaldiFbank128, LwsMel80, Mfcc12, Wav2LipMel80
from models.audio.filters import slaney_filters
from models.audio.kaldi_fbank import VGGSOUND
from models.audio.level import FixedGain, clip_gain
from models.errors import SoundShapeError

FRONT_ENDS = {"mfcc12": Mfcc12, "lws_mel80": LwsMel80, "wav2lip_mel80": Wav2LipMel80, "kaldi_fbank128": KaldiFbank128}
all_front_ends = pytest.mark.parametrize("make", FRONT_ENDS.values(), ids=FRONT_ENDS)


def speechlike(samples: int = 16_000, seed: int = 0):
    """A rising tone in bursts over a buzz, noise and an offset, -1 to 1, [samples]."""
    t = np.arange(samples) / 16_000
    bursts = 0.2 * np.sin(2 * np.pi * (200 * t + 1500 * t * t)) * (t % 0.5 < 0.35)
    buzz = 0.02 * np.sin(2 * np.pi * 1234.5 * t + 0.3 * np.sin(2 * np.pi * 70 * t))
    noise = 0.01 * np.random.default_rng(seed).standard_normal(samples)
    return (bursts + buzz + noise + 0.03).astype(np.float32)


def rows_of(front_end, sound):
    return front_end(torch.from_numpy(sound)[None])[0].numpy()


def pre_emphasised(x):
    return x - 0.97 * np.concatenate([[0.0], x[:-1]])


def cut(x, window: int, hop: int):
    return np.array([x[start : start + window] for start in range(0, len(x) - window + 1, hop)])


def mfcc_formula(x):
    frames = cut(pre_emphasised(x * 2.0**15), 400, 160) * np.hamming(400)
    magnitude = np.abs(np.fft.rfft(frames, 512))
    low, high = 1127 * np.log(1 + 300 / 700), 1127 * np.log(1 + 3700 / 700)
    corner = 700 * np.exp((low + np.arange(15) * (high - low) / 14) / 1127) - 700
    hz = np.linspace(0, 8000, 257)
    bank = np.array([np.interp(hz, corner[m : m + 3], [0, 1, 0]) for m in range(13)])
    logs = np.log(np.maximum(1.0, magnitude @ bank.T))
    n, m = np.arange(13)[:, None], np.arange(1, 14)
    cepstra = logs @ (np.sqrt(2 / 13) * np.cos(np.pi * n * (m - 0.5) / 13)).T
    return (cepstra * (1 + 11 * np.sin(np.pi * np.arange(13) / 22)))[:, 1:]


def mel_decibel(frames, window, low_hz):
    magnitude = np.abs(np.fft.rfft(frames * window))
    mel = magnitude @ slaney_filters(len(window), 16_000, 80, low_hz, 7600.0)  # held to librosa in test_filters.py
    return 20 * np.log10(np.maximum(1e-5, mel)) - 20


def lws_formula(x):
    x = x * 0.1 / max(1e-4, np.sqrt(np.mean(x * x)))
    padded = np.concatenate([np.zeros(1120), x, np.zeros(-len(x) % 160 + 1120)])
    half_sine = 0.5 * np.sin(np.pi * (np.arange(1280) + 0.5) / 1280)
    return np.clip((mel_decibel(cut(padded, 1280, 160), half_sine, 125.0) + 100) / 100, 0, 1)


def wav2lip_formula(x):
    padded = np.pad(pre_emphasised(x), 400)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(800) / 800)
    return np.clip(8 * (mel_decibel(cut(padded, 800, 200), hann, 55.0) + 100) / 100 - 4, -4, 4)


def kaldi_formula(x):
    frames = cut(x - x.mean(), 400, 160)
    frames = frames - frames.mean(axis=1, keepdims=True)
    frames = frames - 0.97 * np.hstack([frames[:, :1], frames[:, :-1]])
    power = np.abs(np.fft.rfft(frames * np.hanning(400), 512)) ** 2
    mel = 1127 * np.log(1 + np.arange(257) * 31.25 / 700)
    low, high = 1127 * np.log(1 + 20 / 700), 1127 * np.log(1 + 8000 / 700)
    corner = low + np.arange(130) * (high - low) / 129
    bank = np.array([np.interp(mel, corner[m : m + 3], [0, 1, 0]) for m in range(128)])
    return (np.log(np.maximum(2.0**-23, power @ bank.T)) + 4.346) / 4.332


@pytest.mark.parametrize("samples", [16_000, 16_037])
@pytest.mark.parametrize(
    ("make", "formula", "rows"),
    [
        (lambda x: Mfcc12(), mfcc_formula, lambda n: (n - 400) // 160 + 1),
        (lambda x: LwsMel80(FixedGain(clip_gain(torch.from_numpy(x)))), lws_formula, lambda n: -(-n // 160) + 7),
        (lambda x: Wav2LipMel80(), wav2lip_formula, lambda n: n // 200 + 1),
        (lambda x: KaldiFbank128(), kaldi_formula, lambda n: (n - 400) // 160 + 1),
    ],
    ids=FRONT_ENDS,
)
def test_rows_are_the_published_formula(make, formula, rows, samples):
    sound = speechlike(samples)
    got = rows_of(make(sound), sound)
    assert len(got) == rows(samples)
    np.testing.assert_allclose(got, formula(sound.astype(np.float64)), atol=1e-5)


@pytest.mark.parametrize(
    ("make", "library"),
    [
        # lws 1.2.8 stft and librosa 0.11 filters.mel, of the sound brought to an RMS of 0.1
        (
            lambda x: LwsMel80(FixedGain(clip_gain(torch.from_numpy(x)))),
            {(0, 3): 0.563419, (17, 0): 0.352092, (40, 41): 0.430133, (63, 79): 0.35818, (106, 20): 0.262248},
        ),
        # scipy 1.17 lfilter, librosa 0.11 stft and filters.mel
        (
            lambda x: Wav2LipMel80(),
            {(0, 3): 0.497115, (17, 0): -3.543125, (40, 41): 1.066234, (63, 79): -0.543759, (80, 20): -1.635453},
        ),
        # torchaudio 2.11 compliance.kaldi.fbank in float64, of the sound without its mean
        (
            lambda x: KaldiFbank128(),
            {(0, 3): -2.676913, (17, 0): -1.100235, (40, 41): -0.733059, (63, 127): 0.677587, (97, 20): -0.967076},
        ),
    ],
    ids=["lws_mel80", "wav2lip_mel80", "kaldi_fbank128"],
)
def test_rows_are_what_the_library_gave(make, library):
    sound = speechlike()
    rows = rows_of(make(sound), sound)
    for place, want in library.items():
        assert rows[place] == pytest.approx(want, abs=1e-4)


@all_front_ends
@settings(max_examples=10)
@given(chunks=st.lists(st.integers(0, 1500), min_size=1, max_size=10), seed=st.integers(0, 9))
def test_any_chunking_equals_offline(make, chunks, seed):
    front_end = make()
    sound = torch.from_numpy(np.stack([speechlike(sum(chunks), seed), -3 * speechlike(sum(chunks), seed + 10)]))
    state = front_end.init_state(2)
    pieces = [*sound.split(chunks, dim=1), front_end.ending(sound)]
    rows = torch.cat([front_end.step(piece, state).values for piece in pieces], dim=1)
    torch.testing.assert_close(rows, front_end(sound), atol=1e-5, rtol=0)


@all_front_ends
@settings(max_examples=10)
@given(chunks=st.lists(st.integers(1, 1500), min_size=2, max_size=8), resets=st.lists(st.integers(0, 7), max_size=3))
def test_a_reset_stream_begins_anew_at_any_sample_and_the_others_go_on(make, chunks, resets):
    front_end, state = make(), make().init_state(3)
    memory = [state.tail.data_ptr(), state.pending.data_ptr(), state.level.data_ptr()]
    sound = torch.from_numpy(np.stack([speechlike(sum(chunks), seed) for seed in range(3)]))
    rows, begin, at = [[], [], []], 0, 0
    for number, piece in enumerate(sound.split(chunks, dim=1)):
        if number in resets:
            state.reset(torch.tensor([False, True, False]))
            rows[1], begin = [], at
        step = front_end.step(piece, state)
        for stream in range(3):
            rows[stream].append(step.values[stream, : step.counts[stream]])
            assert not step.values[stream, step.counts[stream] :].any()
        at += piece.shape[1]
    for stream, heard in enumerate([sound[0], sound[1, begin:], sound[2]]):
        alone = front_end.step(heard[None], front_end.init_state(1)).values[0]
        torch.testing.assert_close(torch.cat(rows[stream]), alone, atol=1e-5, rtol=0)
    assert memory == [state.tail.data_ptr(), state.pending.data_ptr(), state.level.data_ptr()]


@all_front_ends
def test_digital_silence_gives_the_floor_that_the_plan_reports(make):
    front_end = make()
    silence = front_end(torch.zeros(1, 4000))
    torch.testing.assert_close(silence, torch.full_like(silence, front_end.plan.silence))


def test_the_floors_are_the_published_ones():
    floors = {name: make().plan.silence for name, make in FRONT_ENDS.items()}
    assert floors == pytest.approx(
        {"mfcc12": 0.0, "lws_mel80": 0.0, "wav2lip_mel80": -4.0, "kaldi_fbank128": (np.log(2.0**-23) + 4.346) / 4.332}
    )


def test_the_look_ahead_is_the_published_one():
    assert {name: make().plan.lookahead_ms for name, make in FRONT_ENDS.items()} == {
        "mfcc12": 135.0,
        "lws_mel80": 120.0,
        "wav2lip_mel80": 132.5,
        "kaldi_fbank128": 0.0,
    }


@pytest.mark.parametrize(
    ("make", "lookahead_ms", "start", "rows"),
    [
        (Mfcc12, 135, lambda f: 4 * f - 8, 20),
        (LwsMel80, 120, lambda f: 4 * (f - 2), 20),
        (Wav2LipMel80, 133, lambda f: int(80.0 * (f - 2) / 25), 16),
    ],
    ids=["mfcc12", "lws_mel80", "wav2lip_mel80"],
)
def test_every_frame_gets_the_published_window(make, lookahead_ms, start, rows):
    plan = make().plan
    for frame in range(2, 200):
        for more_ms, later in ((0, 0), (39, 0), (40, 1), (70, 1), (520, 13)):
            first = start(frame + later)
            got = plan.rows_of_frame(frame, lookahead_ms + more_ms)
            assert got.tolist() == list(range(first, first + rows)), (frame, more_ms)


def test_wav2lip_repeats_its_first_row_before_the_stream():
    plan = Wav2LipMel80().plan
    assert plan.rows_of_frame(0, 138).tolist() == [0] * 6 + list(range(10))  # published: rows -6 to 9, clamped
    assert plan.rows_of_frame(0, 133).tolist() == [0] * 7 + list(range(9))  # row 9 is complete at 137.5 ms
    assert plan.rows_of_frame(0, 0).max() == -1  # nothing was heard


@all_front_ends
@pytest.mark.parametrize("lookahead_ms", [0, 40, 101, 138, 200])
def test_a_frame_hears_the_sound_up_to_its_look_ahead_and_no_further(make, lookahead_ms):
    front_end = make()
    sound = torch.from_numpy(speechlike(16_000))[None]
    frames = range(12, 15)
    end = 16 * (40 * 14 + lookahead_ms)
    deaf = sound.clone()
    deaf[:, end:] = 1.0
    before = front_end.frames(sound, frames, lookahead_ms)
    torch.testing.assert_close(front_end.frames(deaf, frames, lookahead_ms), before, atol=0, rtol=0)
    # nor less: the newest row ends at most one hop before the look-ahead, or at the published one
    plan = front_end.plan
    newest = plan.rows_of_frame(14, lookahead_ms)[-1] * plan.hop_samples + plan.window_samples - plan.lead_samples
    later = max(0.0, lookahead_ms - plan.lookahead_ms) // 40
    published = 16 * (40 * (14 + later) + plan.lookahead_ms)
    assert end - plan.hop_samples < newest <= end or published - plan.hop_samples < newest <= published


@all_front_ends
def test_rows_before_the_stream_are_the_reported_ones(make):
    front_end = make()
    first = front_end.frames(torch.from_numpy(speechlike())[None], range(1), 0)[0, 0]
    assert first.shape == (front_end.plan.frame_rows, front_end.plan.bands)
    torch.testing.assert_close(first, torch.full_like(first, front_end.plan.before))


def test_the_mean_of_the_clip_is_no_loss_to_kaldi():
    sound = speechlike()
    shifted = rows_of(KaldiFbank128(), sound + np.float32(0.4))
    np.testing.assert_allclose(shifted, rows_of(KaldiFbank128(), sound - sound.mean()), atol=1e-4)


def test_kaldi_clips_are_cut_and_filled_up_before_they_are_normalised():
    front_end = KaldiFbank128(VGGSOUND, context_rows=90)
    sound = torch.from_numpy(speechlike())[None]
    assert torch.equal(front_end.clip(sound), front_end(sound)[:, :90])
    short = front_end.clip(sound[:, :8000])
    assert short.shape == (1, 90, 128)
    assert torch.equal(short[:, :48], front_end(sound[:, :8000]))
    torch.testing.assert_close(short[:, 48:], torch.full((1, 42, 128), 4.956 / 4.486))


def test_samples_without_a_row_per_stream_are_refused():
    front_end = Mfcc12()
    with pytest.raises(SoundShapeError, match=r"got samples of shape \[640\], want \[2, n\]"):
        front_end.step(torch.zeros(640), front_end.init_state(2))
