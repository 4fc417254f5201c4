"""The house renderer's networks: what is learned about drawing a face.

The rig's geometry (`models.visavis.geometry`) already carries the photo's pixels to where the controls want them. What
it cannot know is painted by `PatchNet` in a patch around eyes and mouth: teeth, tongue and lip edges, closed lids, skin
that was hidden, shading that moves.
"""

from typing import Final, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.rig import BLENDSHAPES
from models.visavis.fit import FRAME_PX
from models.visavis.ict import BLINK, MOUTH, Shape, weights

Size = Literal["small", "base"]
DETAIL: Final[dict[Size, int]] = {"small": 1, "base": 2}
"""Pixels of the picture along each side of a frame pixel: geometry and controls know frame pixels only."""

MARGIN_PX: Final = 32
"""What is kept of the photo beyond each edge of the frame, for when the head moves."""
PHOTO_PX: Final = FRAME_PX + 2 * MARGIN_PX
FINE_MAPS: Final = 9
"""Channels of the full-resolution maps: warped photo 3, rigid upper-mouth layer 3, mouth, eyes, layer's mouth."""
COARSE_MAPS: Final = 8
"""Channels of the half-resolution maps: teeth up and down, soft parts, tooth normal x and z, coverage, flow x and y."""
CONDITION: Final = 109
"""Target expression 52, source expression 52, head yaw, pitch, roll and gaze yaw, pitch relative to the photo."""

FEATURES_FINE = 16
_FEATURES_COARSE = 32
_WIDTHS = (32, 56, 80)
_LIDS_GAIN = 2.0
_LIPS_GAIN = 10.0
_ANGLE_UNIT_DEG = 15.0


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.LeakyReLU(0.2))


def _up(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def inner(image: Tensor) -> Tensor:
    """The frame inside a picture with margin: [..., 320 d, 320 d] to [..., 256 d, 256 d]."""
    margin = int(image.shape[-1]) * MARGIN_PX // PHOTO_PX
    return image[..., margin:-margin, margin:-margin]


class IdentityEncoder(nn.Module):
    """Features of one photo, computed once at enrolment and warped every frame; `detail` d as in `DETAIL`."""

    def __init__(self, detail: int = 1) -> None:
        super().__init__()
        self.detail = detail
        self.fine = nn.Sequential(_conv(4 * detail**2, FEATURES_FINE, 2), _conv(FEATURES_FINE, FEATURES_FINE))
        self.coarse = nn.Sequential(
            _conv(FEATURES_FINE, _FEATURES_COARSE, 2), _conv(_FEATURES_COARSE, _FEATURES_COARSE)
        )

    def forward(self, photo: Tensor) -> tuple[Tensor, Tensor]:
        """Encode the frame of the photo.

        Args:
            photo: RGB, -1 to 1, and the photo's own mouth map, [B, 4, 256 d, 256 d].

        Returns:
            Features [B, 16, 128, 128] and [B, 32, 64, 64].
        """
        fine = self.fine(F.pixel_unshuffle(photo, self.detail))
        return fine, self.coarse(fine)


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = _conv(width, width), nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x + self.second(self.first(x)), 0.2)


class PatchNet(nn.Module):
    """Paints the inner face: a U-net over the patch, fed with warped features and steered by the controls.

    The steering is feature-wise modulation of the three coarser levels (Perez et al., "FiLM: Visual Reasoning with a
    General Conditioning Layer", AAAI 2018, equation 1). All sizes have the same layers at the same cells; what a larger
    `detail` d (see `DETAIL`) adds rides in the channels of the first and the last.
    """

    def __init__(self, detail: int = 1) -> None:
        super().__init__()
        self.fold = 2 * detail
        w1, w2, w3 = _WIDTHS
        self.join1 = _conv(self.fold**2 * FINE_MAPS + COARSE_MAPS + FEATURES_FINE, w1)
        self.body1 = _conv(w1, w1)
        self.down2 = _conv(w1, w2, 2)
        self.join2 = _conv(w2 + _FEATURES_COARSE, w2)
        self.body2 = _Residual(w2)
        self.down3 = _conv(w2, w3, 2)
        self.body3 = nn.ModuleList([_Residual(w3), _Residual(w3)])
        self.rise3, self.up2, self.refine2 = nn.Conv2d(w3, w2, 1), _conv(2 * w2, w2), _conv(w2, w2)
        self.rise2, self.up1, self.refine1 = nn.Conv2d(w2, w1, 1), _conv(2 * w1, w1), _conv(w1, w1)
        self.leave = nn.Conv2d(w1, 3 * self.fold**2, 3, padding=1)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)  # at first the answer is the warped photo
        self.steer = nn.Sequential(nn.Linear(CONDITION, 128), nn.LeakyReLU(0.2), nn.Linear(128, 2 * (w1 + w2 + w3)))
        self.splits = (w1, w1, w2, w2, w3, w3)

    def forward(
        self,
        fine: Tensor,
        coarse: Tensor,
        features_fine: Tensor,
        features_coarse: Tensor,
        at: Tensor,
        condition: Tensor,
    ) -> Tensor:
        """Paint one patch for each row.

        Args:
            fine: Maps at full resolution, [B, 9, d h, d w]; the first three channels are the warped photo, -1 to 1.
            coarse: Maps at half resolution, [B, 8, h / 2, w / 2].
            features_fine: `IdentityEncoder`'s finer features, [B, 16, 128, 128].
            features_coarse: Its coarser ones, [B, 32, 64, 64].
            at: Where in the photo's frame each half-resolution pixel comes from, [B, h / 2, w / 2, 2], (x, y), -1 to 1.
            condition: See `CONDITION`, [B, 109]; blendshapes 0 to 1, angles in units of 15 degrees.

        Returns:
            The warped photo with what was missing painted in, RGB about -1 to 1, [B, 3, d h, d w].
        """
        return self.paint(fine, coarse, *carry(features_fine, features_coarse, at), condition)

    def paint(
        self, fine: Tensor, coarse: Tensor, carried_fine: Tensor, carried_coarse: Tensor, condition: Tensor
    ) -> Tensor:
        """`forward` without positions, which need float32: the rest is computed in the type of the weights.

        Args:
            fine: As for `forward`; all come and go in float32.
            coarse: As for `forward`.
            carried_fine: The finer features as `carry` brought them, [B, 16, h / 2, w / 2].
            carried_coarse: The coarser ones, [B, 32, h / 4, w / 4].
            condition: As for `forward`.
        """
        dtype = self.leave.weight.dtype
        steer = self.steer(condition.to(dtype))[:, :, None, None]
        gain1, shift1, gain2, shift2, gain3, shift3 = steer.split(self.splits, dim=1)
        warped1, warped2 = carried_fine.to(dtype), carried_coarse.to(dtype)

        # full resolution lives in the channels of the half resolution: wide convolutions keep a CPU busy, narrow do not
        maps = [F.pixel_unshuffle(fine, self.fold).to(dtype), coarse.to(dtype)]
        x1 = self.join1(torch.cat([*maps, warped1], 1))
        x1 = self.body1(x1 * (1 + gain1) + shift1)
        x2 = self.body2(self.join2(torch.cat([self.down2(x1), warped2], 1)) * (1 + gain2) + shift2)
        x3 = self.down3(x2) * (1 + gain3) + shift3
        for block in self.body3:
            x3 = block(x3)
        y2 = self.refine2(self.up2(torch.cat([_up(self.rise3(x3)), x2], 1)))
        y1 = self.refine1(self.up1(torch.cat([_up(self.rise2(y2)), x1], 1)))
        painted = F.pixel_shuffle(self.leave(y1), self.fold).to(fine.dtype)
        return fine[:, :3] + needed(fine, condition) * painted


def carry(fine: Tensor, coarse: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
    """Bring a photo's features to where a patch wants them.

    Args:
        fine: `IdentityEncoder`'s finer features, [B, 16, 128, 128].
        coarse: Its coarser ones, [B, 32, 64, 64].
        at: Where in the photo's frame each half-resolution pixel comes from, [B, h / 2, w / 2, 2], (x, y), -1 to 1.

    Returns:
        [B, 16, h / 2, w / 2] and [B, 32, h / 4, w / 4].
    """
    at2 = F.avg_pool2d(at.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
    near, far = (
        F.grid_sample(features, where, padding_mode="border", align_corners=False)
        for features, where in ((fine, at), (coarse, at2))
    )
    return near, far


def needed(fine: Tensor, condition: Tensor) -> Tensor:
    """Where the warped photo may be painted over, [B, 1, h, w], 0 to 1.

    Around the lips and the eyes as far as they move against the photo. Elsewhere nobody can do better than the photo's
    own pixels.

    Args:
        fine: `PatchNet.forward`'s full-resolution maps.
        condition: Its condition.
    """
    mouth, eyes = fine[:, 6:7], fine[:, 7:8]
    moved = (condition[:, : len(BLENDSHAPES)] - condition[:, len(BLENDSHAPES) : 2 * len(BLENDSHAPES)]).abs()
    lips = (_LIPS_GAIN * moved[:, MOUTH].amax(1)).clamp(max=1.0)[:, None, None, None]
    lids = (_LIDS_GAIN * moved[:, list(BLINK)].amax(1)).clamp(max=1.0)[:, None, None, None]
    around_mouth = ((mouth + 0.95) * 3.0).clamp(0.0, 1.0)  # from 7 px outside the lips' inner edge
    around_eyes = ((eyes + 0.995) * 10.0).clamp(0.0, 1.0)  # from 12 px outside the lids
    return torch.maximum(around_mouth * lips, around_eyes * lids)


def condition(shape: Shape, own: Tensor, controls: Tensor) -> Tensor:
    """What steers `PatchNet`: where the face goes and where the photo has it.

    Args:
        shape: The persons.
        own: Controls relative to rest that the photo shows, [B, 57].
        controls: Controls of the frame, [B, 57].

    Returns:
        [B, 109], see `CONDITION`.
    """
    turn = (controls[:, len(BLENDSHAPES) :] - own[:, len(BLENDSHAPES) :]) / _ANGLE_UNIT_DEG
    return torch.cat([weights(shape, controls), weights(shape, own), turn], 1)
