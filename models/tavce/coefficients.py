"""Sound to the coefficients of the face model: expression, frame by frame, and pose, in chunks of 32 frames.

Source: Zhang et al., "SadTalker", CVPR 2023, sections 3.2 and 3.3.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.blocks.wav2lip_audio import Wav2LipAudio
from models.tavce.config import EXPRESSION, POSE, POSE_FRAMES, TavceConfig


class AudioToExpression(nn.Module):
    """A window of sound, the photo's expression and a blink to an expression. The last layer is linear in all three."""

    def __init__(self, config: TavceConfig) -> None:
        super().__init__()
        self.audio_encoder = Wav2LipAudio(config.audio)
        self._heard = config.audio[-1]
        self.mapping = nn.Linear(self._heard + EXPRESSION + 1, EXPRESSION)
        nn.init.zeros_(self.mapping.bias)

    def forward(self, windows: Tensor, reference: Tensor, blink: Tensor) -> Tensor:
        """Expressions [B, 64].

        Args:
            windows: `wav2lip_mel80`, [B, 1, 80, 16].
            reference: The photo's expression, [B, 64].
            blink: How far the lids are shut beyond the reference, [B], 0 to 1.
        """
        return self.said(windows) + self.rest(reference) + self.blinked(blink)

    def said(self, windows: Tensor) -> Tensor:
        """The sound's share, [B, 64]."""
        return F.linear(self.audio_encoder(windows), self.mapping.weight[:, : self._heard])

    def rest(self, reference: Tensor) -> Tensor:
        """The photo's share, bias included, [..., 64]."""
        return F.linear(reference, self.mapping.weight[:, self._heard : -1], self.mapping.bias)

    def blinked(self, blink: Tensor) -> Tensor:
        """The blink's share, [...] to [..., 64]."""
        return blink[..., None] * self.mapping.weight[:, -1]


class _UnetBlock(nn.Module):
    """Norm, ReLU, convolution, twice, plus a normalised convolution of the input; time may be halved."""

    def __init__(self, inputs: int, outputs: int, stride: tuple[int, int]) -> None:
        super().__init__()
        once = (nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, outputs, 3, stride, 1))
        again = (nn.BatchNorm2d(outputs), nn.ReLU(), nn.Conv2d(outputs, outputs, 3, padding=1))
        self.conv_block = nn.Sequential(*once, *again)
        self.conv_skip = nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_block(x) + self.conv_skip(x)


class PoseUnet(nn.Module):
    """A residual U-net over time and the six pose numbers; its output lies in 0..1."""

    def __init__(self, config: TavceConfig) -> None:
        super().__init__()
        a, b, c, d = config.unet
        self.input_layer = nn.Sequential(
            nn.Conv2d(1, a, 3, padding=1), nn.BatchNorm2d(a), nn.ReLU(), nn.Conv2d(a, a, 3, padding=1)
        )
        self.input_skip = nn.Sequential(nn.Conv2d(1, a, 3, padding=1))
        self.down = nn.ModuleList(_UnetBlock(m, n, (2, 1)) for m, n in ((a, b), (b, c), (c, d)))
        self.raise_ = nn.ModuleList(nn.ConvTranspose2d(m, m, (2, 1), (2, 1)) for m in (d, c, b))
        self.up = nn.ModuleList(_UnetBlock(m + n, n, (1, 1)) for m, n in ((d, c), (c, b), (b, a)))
        self.output_layer = nn.Sequential(nn.Conv2d(a, 1, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, 6] to the same shape; T is a multiple of 8."""
        x = x[:, None]
        levels = [self.input_layer(x) + self.input_skip(x)]
        for block in self.down:
            levels.append(block(levels[-1]))
        x = levels.pop()
        for raised, block in zip(self.raise_, self.up, strict=True):
            x = block(torch.cat([raised(x), levels.pop()], 1))
        return self.output_layer(x)[:, 0]


class _PoseHalf(nn.Module):
    """What encoder and decoder of the pose have in common."""

    def __init__(self, config: TavceConfig) -> None:
        super().__init__()
        self.latent = config.audio[-1] // 8
        self.resunet = PoseUnet(config)
        self.linear_audio = nn.Linear(config.audio[-1], POSE)
        self.classbias = nn.Parameter(torch.randn(config.styles, self.latent))
        self.inputs = POSE + self.latent + POSE_FRAMES * POSE

    def sound(self, heard: Tensor) -> Tensor:
        return self.linear_audio(heard).flatten(1)


@dataclass(frozen=True)
class Spread:
    """A normal distribution of codes: mean and logarithm of the variance, [B, latent] each."""

    mean: Tensor
    log_variance: Tensor

    def sample(self) -> Tensor:
        """A code of each, [B, latent]."""
        return self.mean + torch.exp(0.5 * self.log_variance) * torch.randn_like(self.mean)


class PoseEncoder(_PoseHalf):
    """Poses and their sound to a distribution of codes; for training only."""

    def __init__(self, config: TavceConfig) -> None:
        super().__init__(config)
        width = POSE_FRAMES * POSE
        self.mlp = nn.Sequential(nn.Linear(self.inputs + width, 2 * self.latent), nn.ReLU())
        self.linear_means = nn.Linear(2 * self.latent, self.latent)

    def forward(self, motion: Tensor, reference: Tensor, heard: Tensor, style: Tensor) -> Spread:
        """Arguments as for `PoseDecoder`, and the true motion relative to the first frame, [B, 32, 6].

        Mean and log-variance come from the same layer: a slip of the published code that its weights were trained with.
        """
        parts = [reference, self.resunet(motion).flatten(1), self.sound(heard), self.classbias[style]]
        both = self.linear_means(self.mlp(torch.cat(parts, 1)))
        return Spread(both, both)


class PoseDecoder(_PoseHalf):
    """A code, a style and sound to 32 frames of pose motion."""

    def __init__(self, config: TavceConfig) -> None:
        super().__init__(config)
        middle, width = 2 * self.latent, POSE_FRAMES * POSE
        self.mlp = nn.Sequential(nn.Linear(self.inputs, middle), nn.ReLU(), nn.Linear(middle, width), nn.Sigmoid())
        self.pose_linear = nn.Linear(POSE, POSE)

    def forward(self, code: Tensor, reference: Tensor, heard: Tensor, style: Tensor) -> Tensor:
        """Motion relative to the reference, [B, 32, 6]: angles in radians, translations of the face model.

        Args:
            code: Drawn from N(0, 1), [B, latent].
            reference: The photo's pose, [B, 6].
            heard: What the audio trunk made of each frame's window, [B, 32, audio].
            style: Whose manner, [B], int64.
        """
        x = self.mlp(torch.cat([reference, code + self.classbias[style], self.sound(heard)], 1))
        return self.pose_linear(self.resunet(x.unflatten(1, (POSE_FRAMES, POSE))))


class AudioToPose(nn.Module):
    """Sound to pose: a trunk of its own and a conditional variational autoencoder."""

    def __init__(self, config: TavceConfig) -> None:
        super().__init__()
        self.audio_encoder = Wav2LipAudio(config.audio)
        self.encoder, self.decoder = PoseEncoder(config), PoseDecoder(config)

    def forward(self, windows: Tensor, reference: Tensor, style: Tensor, code: Tensor) -> Tensor:
        """Poses [B, 32, 6] of 32 windows [B, 32, 80, 16]; other arguments as for `PoseDecoder`."""
        return reference[:, None] + self.decoder(code, reference, self.hear(windows), style)

    def hear(self, windows: Tensor) -> Tensor:
        """[B, 32, 80, 16] to [B, 32, audio]."""
        return self.audio_encoder(windows.flatten(0, 1)[:, None]).unflatten(0, windows.shape[:2])


class PoseCritic(nn.Module):
    """Whether a sequence of poses is real, piece by piece."""

    def __init__(self) -> None:
        super().__init__()
        sizes = ((POSE, 256, 4, 2), (256, 512, 4, 2), (512, 1024, 3, 1))
        self.convs = nn.ModuleList(nn.Conv1d(a, b, k, s, 1, bias=False) for a, b, k, s in sizes)
        self.norms = nn.ModuleList(nn.BatchNorm1d(b) for _, b, _, _ in sizes)
        self.last = nn.Conv1d(1024, 1, 3, padding=1)
        for conv in self.convs:
            nn.init.kaiming_normal_(conv.get_parameter("weight"))

    def forward(self, poses: Tensor) -> Tensor:
        """[B, T, 6] to scores [B, T / 4]."""
        x = poses.transpose(1, 2)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.relu(norm(conv(x)))
        return self.last(x)[:, 0]
