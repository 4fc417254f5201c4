"""TAVCE's losses, each by its formula, unweighted unless said. Source: IEEE TMM 2025 and its published training code.

Changes are differences of features of two frames, [B, C]; their likeness is the squared cosine, see `correlation`.
"""

from torch import Tensor

from models.tavce.coefficients import Spread
from models.tavce.correlation import crop_mouths, likeness

WEIGHTS = {"gan": 1.0, "features": 10.0, "perceptual": 10.0, "l1": 20.0, "expression": 5.0, "correlation": 0.1}
"""What the renderer's losses count."""
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
    """How far the expression moves key points: mean over persons of the sum of |offsets| [B, K, 3]."""
    return expression.abs().sum((1, 2)).mean()


def kl_divergence(spread: Spread) -> Tensor:
    """From a standard normal: mean over the batch of -1/2 sum (1 + log v - m^2 - v)."""
    gap = 1 + spread.log_variance - spread.mean.square() - spread.log_variance.exp()
    return -0.5 * gap.sum(1).mean()
