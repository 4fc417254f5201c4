"""The sync scorer of Wav2Lip: five mouth pictures and a mel window to vectors that agree when lips fit the voice.

Source: Prajwal et al., "A Lip Sync Expert Is All You Need", ACM MM 2020, section 3.2; layers as its released code,
whose key names these are.
"""

from pathlib import Path
from typing import Final

import torch.nn.functional as F
from torch import Tensor, nn

from models.blocks.wav2lip_audio import PUBLISHED_WIDTHS, ConvNorm, Wav2LipAudio, residual_stage
from models.checkpoint import load_published, read_checkpoint, tensors_in
from models.errors import CheckpointError

FRAMES: Final = 5
MOUTH_PX: Final = (48, 96)
"""Height and width of a mouth picture: the lower half of a face of 96 px."""


class SyncNet(nn.Module):
    """Two encoders into one space.

    Args:
        widths: Channels of the five stages of the mouth encoder, and with one more block those of `Wav2LipAudio`.
    """

    def __init__(self, widths: tuple[int, int, int, int, int] = PUBLISHED_WIDTHS) -> None:
        super().__init__()
        w1, w2, w3, w4, w5 = widths
        self.face_encoder = nn.Sequential(
            ConvNorm(3 * FRAMES, w1, 7, 1, 3),
            *residual_stage(w1, w2, (1, 2), 2, kernel=5),
            *residual_stage(w2, w3, 2, 3),
            *residual_stage(w3, w4, 2, 2),
            *residual_stage(w4, w5, 2, 2),
            ConvNorm(w5, w5, 3, 2, 1),
            ConvNorm(w5, w5, 3),
            ConvNorm(w5, w5, 1),
        )
        self.audio_encoder = Wav2LipAudio(widths, residuals=(2, 2, 2, 2))

    @classmethod
    def load(cls, path: Path) -> "SyncNet":
        """The published expert (`lipsync_expert.pth`), frozen.

        Raises:
            CheckpointError: If the file holds something else.
        """
        net, saved = cls(), read_checkpoint(path)
        names = {name: name for name in ("face_encoder", "audio_encoder")}
        report = load_published(net, tensors_in(saved.get("state_dict", saved)), names)
        if report.missing:
            raise CheckpointError(f"{path.name} without {report.missing[0]}", "Wav2Lip's lip-sync expert")
        return net.eval().requires_grad_(False)

    def forward(self, mouths: Tensor, mel: Tensor) -> Tensor:
        """How well lips and voice agree.

        Args:
            mouths: Five frames side by side in the channels, the oldest first, [B, 15, 48, 96], 0 to 1; the published
                weights want blue, green, red.
            mel: `wav2lip_mel80` window of the middle frame, [B, 1, 80, 16].

        Returns:
            Cosine of the two vectors, [B], 0 (both end in a ReLU) to 1.
        """
        return F.cosine_similarity(self.face_encoder(mouths).flatten(1), self.audio_encoder(mel))
