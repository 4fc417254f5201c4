"""What DAVS is trained against: a word classifier, a judge of modality, one of the person's maps, one of sequences."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.davs.config import DavsConfig

CLIP_FRAMES = 12
"""Frames, every second one of a clip, that make a word."""
PERSON_FRAMES = 20
"""Consecutive frames in whose person maps a word is looked for."""
SEQUENCE_FRAMES = 6
"""Frames that are generated and judged together."""
_SLOPE = 0.2


class WordClassifier(nn.Module):
    """Which word a clip's codes say: one net for codes of sound and of lips, so that both mean the same."""

    def __init__(self, config: DavsConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(CLIP_FRAMES * config.code, 512)
        self.fc2 = nn.Linear(512, config.words)
        nn.init.normal_(self.fc1.weight, std=1e-4)
        nn.init.zeros_(self.fc1.bias)

    def forward(self, codes: Tensor) -> Tensor:
        """Codes of clips [B, 12, code] to logits [B, words]."""
        return self.fc2(F.relu(self.fc1(codes.flatten(1))))


class ModalityCritic(nn.Module):
    """Whether a word code came from sound or from lips. The published sigmoid is in `losses.modality`."""

    def __init__(self, config: DavsConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.code, config.code)
        self.fc2 = nn.Linear(config.code, 1)

    def forward(self, codes: Tensor) -> Tensor:
        """Codes [..., code] to logits of sound [..., 1]."""
        return self.fc2(F.relu(self.fc1(codes)))


class PersonWordCritic(nn.Module):
    """Which word the person's early maps betray; the identity encoder learns to betray none."""

    def __init__(self, config: DavsConfig) -> None:
        super().__init__()
        self.conv = nn.Conv2d(config.stages[0][-1], 1, 3, 2, 1)
        self.fc1 = nn.Linear((config.image_px // 8) ** 2, config.code // 2)
        self.dropout = nn.Dropout(0.5)
        self.fc2 = nn.Linear(PERSON_FRAMES * (config.code // 2), config.words)
        _spread(self)
        nn.init.normal_(self.fc2.weight, std=1e-4)
        nn.init.zeros_(self.fc2.bias)

    def forward(self, early: Tensor) -> Tensor:
        """`Person.early` of 20 frames each, [B, 20, C, S / 4, S / 4], to logits [B, words]."""
        frames = self.fc1(F.relu(self.conv(early.flatten(0, 1))).flatten(1))
        return self.fc2(self.dropout(frames.view(early.shape[0], -1)))


class SequenceCritic(nn.Module):
    """Whether frames are real, patch by patch, and whether their mouths fit the sound."""

    def __init__(self, config: DavsConfig, frames: int = SEQUENCE_FRAMES) -> None:
        super().__init__()
        w = config.critic_width
        layers = ((3 * frames, w, 2, True), (w, 2 * w, 2, False), (2 * w, 4 * w, 2, False), (4 * w, 8 * w, 1, False))
        self.patch = nn.ModuleList(nn.Conv2d(a, b, 4, stride, 1, bias=bias) for a, b, stride, bias in layers)
        self.patch_norms = nn.ModuleList(nn.BatchNorm2d(width) for width in (2 * w, 4 * w, 8 * w))
        self.verdict = nn.Conv2d(8 * w, 1, 4, 1, 1)
        # the mouth in the patch map: rows 19 to 27 and columns 11 to 19 of the 31 that 256 px have
        cells = config.image_px // 8 - 1
        self._top, self._left, self._side = 19 * cells // 31, 11 * cells // 31, max(3, 9 * cells // 31)
        self.mouth = nn.Conv2d(8 * w, 8 * w, 3, bias=False)
        self.mouth_norm = nn.BatchNorm2d(8 * w)
        self.mouth_code = nn.Conv2d(8 * w, 8 * w, self._side - 2)
        self.sound = nn.Sequential(
            *(nn.Conv2d(frames, w, 3, (3, 2), (1, 2), bias=False), nn.BatchNorm2d(w)),
            *(nn.Conv2d(w, 2 * w, 3, 2, 1, bias=False), nn.BatchNorm2d(2 * w)),
            *(nn.Conv2d(2 * w, 4 * w, 3, bias=False), nn.BatchNorm2d(4 * w)),
            *(nn.Conv2d(4 * w, 4 * w, 2, bias=False), nn.BatchNorm2d(4 * w)),
        )
        self.match1, self.match2 = nn.Linear(12 * w, 8 * w), nn.Linear(8 * w, 1)
        _spread(self)

    def forward(self, frames: Tensor, windows: Tensor) -> tuple[Tensor, Tensor]:
        """Judge sequences with their sound.

        Args:
            frames: [B, 6, 3, S, S], 0 to 1.
            windows: What `mfcc12` gives for each frame, [B, 6, 20, 12].

        Returns:
            Chances that each patch is real, [B, 1, S / 8 - 2, S / 8 - 2], and that sound and mouths fit, [B, 1].
        """
        x = F.leaky_relu(self.patch[0](frames.flatten(1, 2)), _SLOPE)
        for conv, norm in zip(self.patch[1:], self.patch_norms, strict=True):
            x = F.leaky_relu(norm(conv(x)), _SLOPE)
        mouth = x[:, :, self._top : self._top + self._side, self._left : self._left + self._side]
        mouth = F.leaky_relu(self.mouth_norm(self.mouth(mouth)), _SLOPE)
        seen = F.leaky_relu(self.mouth_code(mouth), _SLOPE).flatten(1)
        both = torch.cat([seen, self.sound(windows).flatten(1)], 1)
        return torch.sigmoid(self.verdict(x)), torch.sigmoid(self.match2(self.match1(both)))


class DavsCritics(nn.Module):
    """All of them. The word classifier learns with the generator, the others against it."""

    def __init__(self, config: DavsConfig) -> None:
        super().__init__()
        self.words = WordClassifier(config)
        self.modality = ModalityCritic(config)
        self.person_words = PersonWordCritic(config)
        self.sequence = SequenceCritic(config)


def _spread(module: nn.Module) -> None:
    """Fresh weights as DCGAN's: convolutions N(0, 0.02) without bias, normalisations N(1, 0.02)."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.normal_(part.weight, std=0.02)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.weight, 1.0, 0.02)
            nn.init.zeros_(part.bias)
