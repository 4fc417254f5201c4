import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.opus import Downsampler, OpusVoice, packet_samples
from tests.stream.fakes import tone
from tests.stream.peer import opus_packets


@pytest.mark.parametrize(
    ("first_bytes", "samples"),
    [  # RFC 6716, table 2
        (b"\x00", 480),  # SILK narrowband, 10 ms, one frame
        (b"\x18", 2880),  # SILK, 60 ms
        (b"\x79", 1920),  # hybrid, 20 ms, two frames
        (b"\x80", 120),  # CELT, 2.5 ms
        (b"\xfb\x03", 2880),  # CELT, 20 ms, three frames
        (b"\xfb\x3f", 0),  # 63 frames of 20 ms: longer than a packet may be
        (b"\xfb", 0),  # the count is missing
        (b"", 0),
    ],
)
def test_a_packets_length_is_read_from_its_header(first_bytes, samples):
    assert packet_samples(first_bytes) == samples


@pytest.mark.parametrize("packet_ms", [10, 20, 60])
def test_real_packets_have_the_length_they_were_made_with(packet_ms):
    packets = opus_packets(tone(0.6, rate=48_000), packet_ms)
    assert {packet_samples(packet) for packet in packets} == {48 * packet_ms}


def test_decoding_gives_back_the_sound():
    sound = tone(1.0, 300.0, rate=48_000)
    voice = OpusVoice()
    heard = np.concatenate([voice.decode(packet, 960) for packet in opus_packets(sound)])
    late = 312  # samples: Opus' own look-ahead of 6.5 ms
    assert heard.size == 48_000
    likeness = np.corrcoef(heard[9600 + late : 40_000 + late], sound[9600:40_000])[0, 1]
    assert likeness > 0.93
    assert np.std(heard[9600:]) == pytest.approx(np.std(sound), rel=0.1)


def test_a_stereo_source_is_heard_as_the_mean_of_both_sides():
    left = tone(0.6, 300.0, rate=48_000)
    voice = OpusVoice()
    packets = opus_packets(np.stack([left, np.zeros_like(left)], axis=1))
    heard = np.concatenate([voice.decode(packet, 960) for packet in packets])
    assert heard.size == left.size
    assert np.std(heard[9600:]) == pytest.approx(0.5 * np.std(left), rel=0.15)


@pytest.mark.parametrize("source", ["telephone", "clipped", "music"])
def test_poor_and_loud_sources_come_through_in_full_length_and_range(source):
    t = np.arange(48_000) / 48_000
    if source == "telephone":  # 8 kHz, each sample held: nothing useful above 4 kHz
        sound = np.repeat(np.sin(2 * np.pi * 440 * np.arange(8000) / 8000), 6) * 0.3
    elif source == "clipped":
        sound = np.clip(5 * np.sin(2 * np.pi * 150 * t), -1, 1)
    else:
        sound = sum(np.sin(2 * np.pi * hz * t) for hz in (220, 277, 330, 440)) / 4
    voice, down = OpusVoice(), Downsampler()
    heard = np.concatenate([down.push(voice.decode(packet, 960)) for packet in opus_packets(sound)])
    assert heard.size == 16_000
    assert np.abs(heard).max() < 1.5
    assert np.std(heard[3200:]) == pytest.approx(np.std(sound), rel=0.35)


def test_a_packet_of_garbage_is_silence_and_the_next_is_heard():
    voice = OpusVoice()
    packets = opus_packets(tone(0.4, rate=48_000))
    for packet in packets[:10]:
        voice.decode(packet, 960)
    assert voice.decode(b"\xff\xff\xff\xff", 960).size == 960
    assert np.abs(voice.decode(packets[11], 960)).max() > 0.05


@given(cuts=st.lists(st.integers(0, 400).map(lambda n: 3 * n), max_size=12))
def test_any_chunking_downsamples_alike(cuts):
    sound = np.random.default_rng(0).normal(size=sum(cuts)).astype(np.float32)
    whole = Downsampler().push(sound)
    down = Downsampler()
    parts = [down.push(part) for part in np.split(sound, np.cumsum(cuts)[:-1])] if cuts else [whole]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-5)
    assert whole.size == sound.size // 3


@pytest.mark.parametrize(("hz", "least", "most"), [(100, 0.97, 1.03), (5000, 0.9, 1.03), (9500, 0.0, 0.02)])
def test_speech_passes_and_what_would_alias_does_not(hz, least, most):
    out = Downsampler().push(tone(0.5, hz, rate=48_000, level=1.0))
    gain = np.sqrt(2 * np.mean(np.square(out[100:])))
    assert least <= gain <= most


def test_a_click_comes_out_within_a_millisecond():
    click = np.zeros(960, np.float32)
    click[300] = 1.0
    assert abs(int(np.argmax(np.abs(Downsampler().push(click)))) - 100) <= 16
