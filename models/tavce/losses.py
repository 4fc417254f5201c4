"""TAVCE's losses, each by its formula, unweighted unless said. Source: IEEE TMM 2025 and its published training code.

Changes are differences of features of two frames, [B, C]; their likeness is the squared cosine, see `correlation`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from models.tavce.coefficients import Spread
from models.tavce.correlation import crop_mouths, likeness

WEIGHTS = {
    **{"gan": 1.0, "features": 10.0, "perceptual": 10.0, "l1": 20.0, "expression": 5.0, "correlation": 0.1},
    **{"points": 100.0, "motion": 100.0, "lip_motion": 100.0, "mouth": 50.0, "mouth_perceptual": 20.0},
}
"""What the renderer's losses count. The second row is ours. The published renderer begins with the weights of
face-vid2vid, which knows how faces move; ours with none, and is told: `told_points`, `told_motion` of all mesh points
and of the lips', L1 of the mouths, which are a hundredth of the picture, and their perceptual distance, enlarged three
times: an open mouth is three pixels high in a picture of 128. Untold, all key points gathered in one place within an
hour."""
KEYPOINTS = (17, 0, 61, 291, 152, 1, 159, 386, 33, 263, 10, 234, 454, 105, 334)
"""Mesh points that key points are told to be, the first of as many as there are: lower and upper lip, corners of the
mouth, chin, nose, upper lids, corners of the eyes, forehead, sides, brows."""
POSE_WEIGHTS = {"regression": 1.0, "gan": 0.7, "kl": 1.0}
"""What the pose net's losses count."""


def correlation(sound: Tensor, near: Tensor, far: Tensor, alpha: float = 1.0) -> Tensor:
    """The published code's pre-training loss: mean of 1 - likeness(sound, near) + alpha likeness(sound, far).

    Args:
        sound: How the sound changed from frame i to i + 1.
        near: How the mouth did.
        far: How the mouth changed from frame i to j, at least three frames away.
    """
    return (1 - likeness(sound, near) + alpha * likeness(sound, far)).mean()


def triplet(sound: Tensor, near: Tensor, far: Tensor, margin: float = 0.2) -> Tensor:
    """The paper's form: mean of max(0, margin + likeness(sound, far) - likeness(sound, near)).

    Distances are 1 - likeness. The paper's margin is not known to us; 0.2 is ours. Arguments as for `correlation`.
    """
    return (margin + likeness(sound, far) - likeness(sound, near)).clamp(min=0).mean()


def correlation_on_frames(sound: Tensor, last_mouth: Tensor, drawn_mouth: Tensor) -> Tensor:
    """How little a drawn mouth changes as its sound does: mean of 1 - likeness.

    Args:
        sound: Change of the sound's features, [B, C], taken as given.
        last_mouth: Features of the real mouth one frame before, [B, C], taken as given.
        drawn_mouth: Features of the drawn mouth, [B, C]; they alone learn.
    """
    return (1 - likeness(sound.detach(), drawn_mouth - last_mouth.detach())).mean()


def mouth_pair(last: Tensor, drawn: Tensor, last_centres_px: Tensor, drawn_centres_px: Tensor) -> tuple[Tensor, Tensor]:
    """The mouths of the last real frame and of the drawn one, [B, 3, 112, 112] each, as `MouthEncoder` takes them."""
    return crop_mouths(last, last_centres_px), crop_mouths(drawn, drawn_centres_px)


def expression_size(expression: Tensor) -> Tensor:
    """How far the expression moves a key point: mean over points of the sum of |offsets| along x, y, z, [B, K, 3].

    Whether the published code means or sums over points is not known to us. Summed, the weight of 5 is what keeps the
    lips shut: opening them costs more than the frame's other losses gain.
    """
    return expression.abs().sum(2).mean()


def told_points(source: Tensor, driving: Tensor, meshes: Tensor) -> Tensor:
    """How far key points are from their `KEYPOINTS`, in the photo and in the frame: mean of |x| and |y|, -1 to 1.

    Args:
        source, driving: Key points, [B, K, 3].
        meshes: As for `told_motion`.
    """
    wanted = 2 * meshes[:, :, list(KEYPOINTS[: source.shape[1]])] - 1
    return (torch.stack([source, driving], 1)[..., :2] - wanted).abs().mean()


def told_motion(back: Tensor, meshes: Tensor) -> Tensor:
    """How far from its place in the photo each mesh point of the frame is fetched: mean of |x| and |y|, -1 to 1.

    Args:
        back: What `DenseMotion` gives, [B, D, H, W, 3].
        meshes: Points of the photo and of the frame, x, y, [B, 2, N, 2]; the pictures' edges are 0 and 1.
    """
    photo, frame = (2 * meshes - 1).unbind(1)
    ways = back[..., :2].permute(0, 1, 4, 2, 3)  # [B, D, 2, H, W]
    fetched = F.grid_sample(ways.flatten(1, 2), frame[:, None], align_corners=False)[:, :, 0]  # [B, 2 D, N]
    return (fetched.unflatten(1, (-1, 2)) - photo.transpose(1, 2)[:, None]).abs().mean()


def kl_divergence(spread: Spread) -> Tensor:
    """From a standard normal: mean over the batch of -1/2 sum (1 + log v - m^2 - v)."""
    gap = 1 + spread.log_variance - spread.mean.square() - spread.log_variance.exp()
    return -0.5 * gap.sum(1).mean()
