"""An audio encoder as the published systems run it for each frame: from windows as the stream has them."""

from torch import Tensor, nn


class MelListener(nn.Module):
    """Windows of mel rows [B, rows, bands] through an encoder of pictures [B, 1, bands, rows]."""

    def __init__(self, audio: nn.Module) -> None:
        super().__init__()
        self.audio = audio

    def forward(self, windows: Tensor) -> tuple[Tensor]:
        """What the encoder answers, [B, features]."""
        return (self.audio(windows.transpose(1, 2)[:, None]),)
