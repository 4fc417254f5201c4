"""From frames to pictures: as they are, or pasted back into what surrounds them in the photo."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kernels.composite_i420 import composite_i420
from kernels.i420 import rgb_to_i420
from models.canvas import Canvas, Paste, matte


class Composer:
    """Makes one stream's pictures ready for an encoder. One thread at a time.

    On a CPU the canvas is converted once; then only what the frame covers is blended and converted, which costs as much
    as converting a bare frame. `kernels.composite_i420` of the whole picture would take a hundred times as long there;
    on a GPU it is one kernel, and 1.5 bytes a pixel go to the host.
    """

    def __init__(self) -> None:
        self._canvas: Canvas | None = None
        self._paste: Paste | None = None
        self._picture = np.zeros((0, 0), np.uint8)
        self._backdrop: Backdrop | None = None

    def i420(self, frame: Tensor, canvas: Canvas | None) -> NDArray[np.uint8]:
        """The picture that shows a frame.

        Args:
            frame: [1, 3, S, S], float, -1 to 1, S even.
            canvas: What it is pasted into; None shows the frame alone.

        Returns:
            Planar pixels, [H * 3 / 2, W], uint8, as `kernels.i420` makes them; valid until the next call.
        """
        if frame.is_cuda:
            if self._backdrop is None or self._backdrop.canvas is not canvas:
                self._backdrop = Backdrop(canvas, frame)
            return self._backdrop.i420(frame)
        if canvas is None:
            return rgb_to_i420(frame)[0].numpy()
        if canvas is not self._canvas or self._paste is None:
            self._canvas, self._paste = canvas, Paste(canvas, frame.shape[-1])
            self._picture = rgb_to_i420(canvas.rgb[None] / 127.5 - 1.0)[0].numpy()
        piece = rgb_to_i420(self._paste.blend(frame))[0].numpy()
        rows, columns = self._paste.rows, self._paste.columns
        luma, *chroma = planes(self._picture)
        new_luma, *new_chroma = planes(piece)
        luma[rows, columns] = new_luma
        for old, new in zip(chroma, new_chroma, strict=True):
            old[_halved(rows), _halved(columns)] = new
        return self._picture


class Backdrop:
    """What lies behind one stream's frames, where they are drawn: its canvas, or nothing."""

    def __init__(self, canvas: Canvas | None, frame: Tensor) -> None:
        """`frame` is any of the stream's, [1, 3, S, S]."""
        self.canvas = canvas
        side, device = frame.shape[-1], frame.device
        x, y = (0, 0) if canvas is None else canvas.corner
        rgb = torch.zeros(3, side, side, dtype=torch.uint8) if canvas is None else canvas.rgb
        cover = torch.ones(side, side) if canvas is None else matte(side)
        self._rgb = rgb[None].to(device).contiguous()
        self._matte = cover[None, None].to(frame)
        self._to_crop = torch.tensor([[[1.0, 0.0, -x], [0.0, 1.0, -y]]], device=device)

    def i420(self, frame: Tensor) -> NDArray[np.uint8]:
        """The whole picture as of `Composer.i420`."""
        return composite_i420(self._rgb, frame.contiguous(), self._matte, self._to_crop)[0].cpu().numpy()


def to_pixels(frame: Tensor, canvas: Canvas | None = None) -> NDArray[np.uint8]:
    """The picture that shows one frame, [1, 3, S, S], -1 to 1, as RGB pixels, [H, W, 3], uint8."""
    if canvas is None:
        return _levels(frame).permute(1, 2, 0).numpy()
    paste, picture = Paste(canvas, frame.shape[-1]), canvas.rgb.clone()
    picture[:, paste.rows, paste.columns] = _levels(paste.blend(frame.cpu()))
    return picture.permute(1, 2, 0).contiguous().numpy()


def planes(i420: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Views of Y [H, W], U and V [H / 2, W / 2] in planar pixels [H * 3 / 2, W]."""
    height, width = i420.shape[0] * 2 // 3, i420.shape[1]
    u, v = i420[height:].reshape(2, height // 2, width // 2)
    return i420[:height], u, v


def _halved(span: slice) -> slice:
    return slice(span.start // 2, span.stop // 2)


def _levels(rgb: Tensor) -> Tensor:
    """[1, 3, H, W], -1 to 1, to [3, H, W], uint8."""
    return ((rgb[0] + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8).cpu()
