import numpy as np
import pytest
import torch
from aiortc.codecs.vpx import Vp8Decoder, VpxPayloadDescriptor
from aiortc.jitterbuffer import JitterFrame

from kernels.i420 import rgb_to_i420
from stream.vp8 import MAX_PAYLOAD_BYTES, Vp8Encoder, packetize, usual_bitrate


def picture(frame: int, px: int = 128) -> torch.Tensor:
    """A smooth picture that moves, [1, 3, px, px], -1 to 1."""
    line = torch.linspace(0, 6.28, px)
    rgb = torch.stack([torch.sin(line + 0.1 * frame), torch.cos(2 * line), torch.sin(3 * line)])
    return (0.5 * (rgb[:, None, :] + rgb[:, :, None]))[None]


def unpack(payloads: list[bytes]) -> bytes:
    return b"".join(VpxPayloadDescriptor.parse(payload)[1] for payload in payloads)


def test_every_frame_comes_out_at_once_and_looks_as_it_went_in():
    encoder, decoder = Vp8Encoder(), Vp8Decoder()
    for frame in range(10):
        i420 = rgb_to_i420(picture(frame))[0].numpy()
        [seen] = decoder.decode(JitterFrame(unpack(encoder.encode(i420, frame)), 3600 * frame))
        off = seen.to_ndarray(format="yuv420p").astype(int) - i420
        assert np.abs(off).mean() < 2.0


def test_a_key_frame_is_made_when_asked_for_and_only_then():
    encoder = Vp8Encoder()
    keys = []
    for frame in range(20):
        i420 = rgb_to_i420(picture(frame))[0].numpy()
        keys.append(not unpack(encoder.encode(i420, frame, key=frame == 12))[0] & 1)  # RFC 6386, 9.1
    assert [frame for frame, key in enumerate(keys) if key] == [0, 12]


def test_a_picture_can_be_shown_again():
    encoder, decoder = Vp8Encoder(), Vp8Decoder()
    with pytest.raises(ValueError, match="got no picture to begin with"):
        encoder.encode(None, 0)
    i420 = rgb_to_i420(picture(0))[0].numpy()
    for frame in range(12):
        data = unpack(encoder.encode(i420 if frame == 0 else None, frame, key=frame == 11))
        [seen] = decoder.decode(JitterFrame(data, 3600 * frame))
        assert np.abs(seen.to_ndarray(format="yuv420p").astype(int) - i420).mean() < 2.0
        assert (not data[0] & 1) == (frame in (0, 11))


def test_the_first_frame_of_a_new_size_is_a_key_frame_that_the_same_decoder_shows():
    encoder, decoder = Vp8Encoder(), Vp8Decoder()
    keys = []
    for frame in range(6):
        rgb = picture(frame, 128) if frame < 3 else picture(frame, 192)[:, :, 20:120]
        i420 = rgb_to_i420(rgb)[0].numpy()
        data = unpack(encoder.encode(i420, frame))
        keys.append(not data[0] & 1)
        [seen] = decoder.decode(JitterFrame(data, 3600 * frame))
        assert (seen.width, seen.height) == ((128, 128) if frame < 3 else (192, 100))
        assert np.abs(seen.to_ndarray(format="yuv420p").astype(int) - i420).mean() < 2.0
    assert keys == [True, False, False, True, False, False]


def test_a_poorer_network_gets_fewer_bits():
    noise = [np.clip(np.random.default_rng(f).normal(128, 10, (384, 256)), 16, 235).astype(np.uint8) for f in range(50)]
    bits_a_second = {}
    for bitrate in (usual_bitrate(256, 256), 150_000):
        encoder = Vp8Encoder()
        encoder.target_bitrate = bitrate
        bits_a_second[bitrate] = sum(len(p) for f, i420 in enumerate(noise) for p in encoder.encode(i420, f)) * 8 / 2
    assert usual_bitrate(256, 256) == 573_440
    assert bits_a_second[150_000] < 0.6 * bits_a_second[573_440] < 0.6 * 1.3 * 573_440


@pytest.mark.parametrize("size", [1, 1176, 1177, 5000])
def test_payloads_fit_the_network_and_carry_one_picture_id(size):
    data = bytes(range(256)) * (size // 256 + 1)
    payloads = packetize(data[:size], 0x1234)
    parsed = [VpxPayloadDescriptor.parse(payload) for payload in payloads]
    assert max(map(len, payloads)) <= MAX_PAYLOAD_BYTES
    assert b"".join(rest for _, rest in parsed) == data[:size]
    assert {descriptor.picture_id for descriptor, _ in parsed} == {0x1234}
    assert [descriptor.partition_start for descriptor, _ in parsed] == [1] + [0] * (len(parsed) - 1)
