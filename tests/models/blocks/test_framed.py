"""Cuts that can be pasted back, and frames that come to rest at their edges."""

from dataclasses import replace

import numpy as np
import torch

from models.blocks.framed import cut_face, placed, settle
from models.system import IdentityState

TEMPLATE = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.8]])


def photo():
    """Soft waves of three colours, 200 x 160 px."""
    y, x = np.mgrid[:160, :200]
    waves = [np.sin(x / 17), np.cos(y / 13), np.sin((x + y) / 23)]
    return np.stack([np.round(127 + 100 * wave) for wave in waves], -1).astype(np.uint8)


def tilted(degrees, side=80.0, corner=(50.0, 30.0)):
    """The template's points in a photo, turned about their square's middle."""
    turn = np.exp(1j * np.radians(degrees))
    points = (TEMPLATE[:, 0] + 1j * TEMPLATE[:, 1] - (0.5 + 0.5j)) * side * turn
    points = points + complex(*corner) + side * (0.5 + 0.5j)
    return np.stack([points.real, points.imag], -1)


def test_the_head_alone_is_turned_upright():
    straight, none = cut_face(photo(), tilted(0), TEMPLATE, 64, "head")
    turned, _ = cut_face(photo(), tilted(20), TEMPLATE, 64, "head")
    assert none is None
    want = torch.from_numpy(photo()[30:110, 50:130]).permute(2, 0, 1)[None].float() / 127.5 - 1
    want = torch.nn.functional.interpolate(want, size=(64, 64), mode="bilinear", antialias=True)
    assert (straight - want)[..., 2:-2, 2:-2].abs().max() < 0.05
    assert (turned - straight).abs().mean() > 0.05


def test_in_a_photo_the_cut_is_upright_and_its_pixels_are_the_canvas_own():
    for degrees in (0, 20):
        face, canvas = cut_face(photo(), tilted(degrees), TEMPLATE, 64, "photo")
        x, y = canvas.corner
        inside = canvas.rgb[None, :, y : y + 64, x : x + 64].float() / 127.5 - 1
        assert inside.shape == face.shape
        assert (inside - face).abs().mean() < 0.02
        assert abs(canvas.rgb.shape[2] - 200 * 64 / 80) <= 4


def test_frames_rest_at_their_edges_only_where_there_is_a_canvas():
    face, canvas = cut_face(photo(), tilted(0), TEMPLATE, 64, "photo")
    alone = IdentityState("any", 1, {"code": torch.zeros(3)})
    framed = placed(alone, face, canvas)
    assert placed(alone, face, None) is alone
    assert replace(framed, tensors=alone.tensors, canvas=None) == alone
    drawn = torch.full((2, 3, 64, 64), 0.5)
    frames = settle(drawn.clone(), [framed, alone])
    torch.testing.assert_close(frames[0, :, 0], face[0, :, 0])
    torch.testing.assert_close(frames[0, :, :, -1], face[0, :, :, -1])
    torch.testing.assert_close(frames[0, :, 8:56, 8:56], drawn[0, :, 8:56, 8:56])
    torch.testing.assert_close(frames[1], drawn[1])
