"""One stream's pictures: their size follows the identity."""

from dataclasses import replace

import numpy as np
import torch
from aiortc.codecs.vpx import Vp8Decoder, VpxPayloadDescriptor
from aiortc.jitterbuffer import JitterFrame

from models.canvas import Canvas
from stream.compose import planes
from stream.face import DueMark, Face, Orders
from stream.hearing import Hearing
from stream.paint import Painter, Seat
from stream.targets import ControlUpdate
from stream.vp8 import Vp8Encoder
from tests.stream.fakes import KeepingEncoder, Loudness, identity, tone


def test_a_swap_to_a_face_with_a_canvas_changes_the_pictures_size_with_a_key_frame():
    framed = replace(identity(0.5), canvas=Canvas(torch.full((3, 90, 160), 180, dtype=torch.uint8), (40, 10)))
    system, decoder = Loudness(), Vp8Decoder()
    painter = Painter(system)
    face = Face(Hearing(system, lookahead_ms=0, idle=False), Seat(0, identity(0.2)), Vp8Encoder())
    swaps = {2: ("framed", framed), 4: ("bare", identity(0.2))}
    sizes, keys, corners = [], [], []
    for frame in range(6):
        due = DueMark(frame, 0, 640 * frame, 0.0, 0.0)
        samples = np.zeros(640 * frame - face.heard_samples, np.float32)
        brush = face.hear(due, samples, Orders(identity=swaps.get(frame)), "full")
        painter.paint([brush])
        payloads, _ = face.encode(brush, frame, key=False, bitrate=0)
        data = b"".join(VpxPayloadDescriptor.parse(payload)[1] for payload in payloads)
        [shown] = decoder.decode(JitterFrame(data, 3600 * frame))
        sizes.append((shown.width, shown.height))
        keys.append(not data[0] & 1)  # RFC 6386, 9.1
        corners.append(int(shown.to_ndarray(format="yuv420p")[3, 3]))
    assert sizes == [(64, 64)] * 2 + [(160, 90)] * 2 + [(64, 64)] * 2
    assert keys == [True, False, True, False, True, False]
    canvas_luma = 16 + 219 * 180 / 255
    assert all(abs(luma - canvas_luma) < 4 for luma in corners[2:4])
    assert all(abs(luma - canvas_luma) > 20 for luma in (*corners[:2], *corners[4:]))


def picture_shown(
    face: Face, painter: Painter, encoder: KeepingEncoder, frame: int, rung: str, orders: Orders | None = None
):
    """Hear 40 ms of sound, paint on `rung`, and what the caller then sees: mean Y, U, V; None before any picture."""
    due = DueMark(frame, 0, 640 * frame, 0.0, 0.0)
    brush = face.hear(due, tone(0.04)[: 640 * frame - face.heard_samples], orders or Orders(), rung)
    painter.paint([brush])
    shown = face.encode(brush, frame, key=False, bitrate=0)
    return None if shown is None else tuple(float(plane.mean()) for plane in planes(encoder.pixels))


def test_each_rung_of_the_ladder_draws_less():
    system = Loudness()
    encoder = KeepingEncoder()
    painter, face = Painter(system), Face(Hearing(system, lookahead_ms=0), Seat(0, identity(0.2)), encoder)
    drawn = {}
    frame = 0
    for rung in ("full", "half", "still", "half", "full"):
        before = len(system.lookaheads)
        for _ in range(10):
            assert picture_shown(face, painter, encoder, frame, rung) is not None
            frame += 1
        drawn.setdefault(rung, []).append(len(system.lookaheads) - before)
    assert drawn == {"full": [10, 10], "half": [5, 5], "still": [1]}


def test_a_still_picture_shows_the_person_at_rest_and_another_person_at_once():
    system = Loudness()
    encoder = KeepingEncoder()
    painter, face = Painter(system), Face(Hearing(system, lookahead_ms=0), Seat(0, identity(0.2)), encoder)
    speaking = [picture_shown(face, painter, encoder, frame, "full") for frame in range(8)][-1]
    at_rest = [picture_shown(face, painter, encoder, frame, "still") for frame in range(8, 11)]
    other = picture_shown(face, painter, encoder, 11, "still", Orders(identity=("grace", identity(0.9))))
    black_but_green = lambda green: 16 + 219 * (0.587 * green + 0.114 * 0.5)  # noqa: E731
    assert speaking[0] > at_rest[0][0] + 20
    assert at_rest == [at_rest[0]] * 3
    assert abs(at_rest[0][0] - black_but_green(0.2)) < 1.5
    assert abs(other[0] - black_but_green(0.9)) < 1.5


def test_orders_are_obeyed_once_and_a_new_face_is_due_until_it_is_drawn():
    system = Loudness()
    face = Face(Hearing(system, lookahead_ms=0, idle=False), Seat(0, identity(0.2)), Vp8Encoder())
    other = ("other", identity(0.9))
    orders = Orders([ControlUpdate({"headYaw": 5.0})], other, interrupt=True)
    face.hear(DueMark(0, 0, 0, 0.0, 0.0), np.zeros(0, np.float32), orders, "full")
    # nobody drew it: they come again with the next frame's
    assert orders.followed_by(Orders()) == Orders([], other, interrupt=False)
    assert face.seat.identity is other[1]
