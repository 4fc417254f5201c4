"""One stream's pictures: their size follows the identity."""

from dataclasses import replace

import numpy as np
import torch
from aiortc.codecs.vpx import Vp8Decoder, VpxPayloadDescriptor
from aiortc.jitterbuffer import JitterFrame

from models.canvas import Canvas
from stream.drive import Drive
from stream.face import DueMark, Face, Orders
from stream.vp8 import Vp8Encoder
from tests.stream.fakes import Loudness, identity


def test_a_swap_to_a_face_with_a_canvas_changes_the_pictures_size_with_a_key_frame():
    framed = replace(identity(0.5), canvas=Canvas(torch.full((3, 90, 160), 180, dtype=torch.uint8), (40, 10)))
    system, decoder = Loudness(), Vp8Decoder()
    face = Face(Drive(system, identity(0.2), lookahead_ms=0, idle=False), Vp8Encoder())
    swaps = {2: ("framed", framed), 4: ("bare", identity(0.2))}
    sizes, keys, corners = [], [], []
    for frame in range(6):
        due = DueMark(frame, 0, 640 * frame, 0.0, 0.0)
        samples = np.zeros(640 * frame - face.heard_samples, np.float32)
        drawn = face.draw(due, samples, Orders(identity=swaps.get(frame)), key=False, bitrate=0)
        data = b"".join(VpxPayloadDescriptor.parse(payload)[1] for payload in drawn.payloads)
        [shown] = decoder.decode(JitterFrame(data, 3600 * frame))
        sizes.append((shown.width, shown.height))
        keys.append(not data[0] & 1)  # RFC 6386, 9.1
        corners.append(int(shown.to_ndarray(format="yuv420p")[3, 3]))
    assert sizes == [(64, 64)] * 2 + [(160, 90)] * 2 + [(64, 64)] * 2
    assert keys == [True, False, True, False, True, False]
    canvas_luma = 16 + 219 * 180 / 255
    assert all(abs(luma - canvas_luma) < 4 for luma in corners[2:4])
    assert all(abs(luma - canvas_luma) > 20 for luma in (*corners[:2], *corners[4:]))
