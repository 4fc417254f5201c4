"""The audio trunk of Wav2Lip: a 16-frame mel window to one vector. FC-TFG, TAVCE and the sync scorer share it."""

from typing import Final

from torch import Tensor, nn

MEL_BANDS: Final = 80
MEL_FRAMES: Final = 16
PUBLISHED_WIDTHS: Final = (32, 64, 128, 256, 512)

_STRIDES: Final = ((1, 1), (3, 1), (3, 3), (3, 2))


class ConvNorm(nn.Module):
    """Convolution with bias, batch norm, an optional skip over both, ReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int | tuple[int, int] = 1,
        padding: int = 0,
        *,
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, padding), nn.BatchNorm2d(outputs))
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] to [B, outputs, H', W']; with `residual` the two shapes must agree."""
        y = self.conv_block(x)
        return (y + x if self.residual else y).relu()


def residual_stage(
    inputs: int, outputs: int, stride: int | tuple[int, int], residuals: int, *, kernel: int = 3
) -> list[ConvNorm]:
    """A strided block (padding 1) and `residuals` blocks of kernel 3 with a skip."""
    stay = [ConvNorm(outputs, outputs, 3, padding=1, residual=True) for _ in range(residuals)]
    return [ConvNorm(inputs, outputs, kernel, stride, 1), *stay]


class Wav2LipAudio(nn.Sequential):
    """Thirteen `ConvNorm` blocks from a mel window to a vector.

    Four stages bring 80 x 16 to 80 x 16, 27 x 16, 9 x 6 and 3 x 3; a 3 x 3 and a 1 x 1 convolution end it. Keys are
    `{0..12}.conv_block.{0,1}.*`, as in the published files.

    Args:
        widths: Channels of the four stages and of the output.
        residuals: Blocks with a skip in each stage. The sync scorer has one more in the last.

    Source:
        Prajwal et al., "A Lip Sync Expert Is All You Need", ACM MM 2020; layers as systems.md, 5.3.
    """

    def __init__(
        self,
        widths: tuple[int, int, int, int, int] = PUBLISHED_WIDTHS,
        residuals: tuple[int, int, int, int] = (2, 2, 2, 1),
    ) -> None:
        inputs = (1, *widths[:3])
        stages = [
            residual_stage(i, o, stride, count)
            for i, o, stride, count in zip(inputs, widths[:4], _STRIDES, residuals, strict=True)
        ]
        last = [ConvNorm(widths[3], widths[4], 3), ConvNorm(widths[4], widths[4], 1)]
        super().__init__(*(block for stage in stages for block in stage), *last)

    def forward(self, mel: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride] - narrower name
        """Encode `wav2lip_mel80` windows.

        Args:
            mel: [B, 1, 80, 16], bands by frames of 12.5 ms, about -4 to 4.

        Returns:
            [B, widths[4]], 0 or more.
        """
        return super().forward(mel).flatten(1)
