"""Things drawn over faces, so that a net can learn what a covered eye or mouth looks like, and what does not cover it.

Nothing here is a picture of a real thing: lenses, hands, masks, microphones and telephones are a few shapes, coloured
at random or with skin and cloth cut from another photo of the batch. What counts as covered is measured, not assumed:
by the share of lid or lip points under the drawn shape.
"""

import math
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from models.visavis.landmarks import INNER_LIPS, LEFT_EYELIDS, OUTER_LIPS, RIGHT_EYELIDS

Draw = np.random.Generator
Pixels = NDArray[np.float32]  # [S, S, 3], 0 to 1
Mask = NDArray[np.float32]  # [S, S], 0 to 1
Spot = tuple[float, float]

COVERED_SHARE: Final = 0.5
CLEAR_SHARE: Final = 0.12
_EYES: Final = ((*RIGHT_EYELIDS, 468), (*LEFT_EYELIDS, 473))
_LIPS: Final = INNER_LIPS + OUTER_LIPS


class Sketch:
    """A mask that shapes are drawn into, in units of the crop (0 to 1)."""

    def __init__(self, side_px: int) -> None:
        self.side_px = side_px
        self._image = Image.new("L", (side_px, side_px))
        self._draw = ImageDraw.Draw(self._image)

    def polygon(self, corners: Sequence[Spot]) -> None:
        """A filled polygon."""
        self._draw.polygon([(x * self.side_px, y * self.side_px) for x, y in corners], fill=255)

    def bar(self, start: Spot, end: Spot, width: float) -> None:
        """A thick line with round ends: a finger, a handle, a temple of glasses."""
        (x0, y0), (x1, y1) = ((x * self.side_px, y * self.side_px) for x, y in (start, end))
        radius = width * self.side_px / 2
        self._draw.line((x0, y0, x1, y1), fill=255, width=max(1, round(2 * radius)))
        for x, y in ((x0, y0), (x1, y1)):
            self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)

    def mask(self, blur: float = 0.004) -> Mask:
        """What was drawn, with edges as soft as a lens makes them."""
        soft = self._image.filter(ImageFilter.GaussianBlur(blur * self.side_px))
        return np.asarray(soft, np.float32) / np.float32(255)


def shares(mask: Mask, points: NDArray[np.float32]) -> tuple[float, float]:
    """How much of the eyes (of the one more hidden) and of the lips lies under a mask, 0 to 1."""
    side = mask.shape[0]
    at = (points * side).astype(int).clip(0, side - 1)
    under = mask[at[:, 1], at[:, 0]]
    return max(float(under[list(eye)].mean()) for eye in _EYES), float(under[list(_LIPS)].mean())


def verdicts(mask: Mask, points: NDArray[np.float32]) -> tuple[float, float]:
    """Labels for eyes and mouth under a mask: 1 covered, 0 clear, nan in between, where nobody could say."""
    eyes, mouth = (1.0 if s > COVERED_SHARE else 0.0 if s < CLEAR_SHARE else math.nan for s in shares(mask, points))
    return eyes, mouth


def outline(draw: Draw, centre: Spot, half_width: float, half_height: float, turn: float = 0.0) -> list[Spot]:
    """A superellipse from round to nearly square, uneven by a few percent, turned by `turn` radians."""
    power = 2.0 / draw.uniform(2.0, 6.0)
    wave, phase = draw.uniform(0, 0.08), draw.uniform(0, 2 * math.pi)
    corners: list[Spot] = []
    for angle in np.linspace(0, 2 * math.pi, 40, endpoint=False).tolist():
        reach = 1 + wave * math.sin(2 * angle + phase)
        x = reach * half_width * math.copysign(abs(math.cos(angle)) ** power, math.cos(angle))
        y = reach * half_height * math.copysign(abs(math.sin(angle)) ** power, math.sin(angle))
        cos, sin = math.cos(turn), math.sin(turn)
        corners.append((centre[0] + x * cos - y * sin, centre[1] + x * sin + y * cos))
    return corners


def _middle(points: NDArray[np.float32], which: Sequence[int]) -> Spot:
    x, y = points[list(which)].mean(axis=0).tolist()
    return x, y


def lenses(draw: Draw, points: NDArray[np.float32], side_px: int) -> tuple[Mask, Mask]:
    """Masks of the two lenses of a pair of glasses, and of its frame."""
    right, left = (_middle(points, eye) for eye in _EYES)
    apart = math.dist(right, left)
    turn = math.atan2(left[1] - right[1], left[0] - right[0])
    half_width, half_height = apart * draw.uniform(0.3, 0.47), apart * draw.uniform(0.2, 0.42)
    low, out = apart * draw.uniform(-0.06, 0.12), apart * draw.uniform(-0.02, 0.08)
    rim = apart * draw.uniform(0.0, 0.09)
    inner, outer = Sketch(side_px), Sketch(side_px)
    kind, uneven = draw.integers(1 << 30), draw.uniform(-0.15, 0.15)
    for (x, y), side in ((right, -1), (left, 1)):
        centre = (x + side * out, y + low)
        # the same seed: both lenses have one shape
        inner.polygon(outline(np.random.default_rng(kind), centre, half_width, half_height, turn + side * uneven))
        grown = outline(np.random.default_rng(kind), centre, half_width + rim, half_height + rim, turn + side * uneven)
        outer.polygon(grown)
        outer.bar(centre, (x + side * apart, y + draw.uniform(-0.03, 0.03)), max(rim, 0.01))
    outer.bar((right[0], right[1] + low / 2), (left[0], left[1] + low / 2), max(rim, 0.012))
    glass = inner.mask()
    return glass, (outer.mask() - glass).clip(0, 1)


def sunglasses(draw: Draw, face: Pixels, points: NDArray[np.float32]) -> tuple[Pixels, Mask]:
    """Dark or mirroring lenses through which no eye can be made out."""
    glass, frame = lenses(draw, points, face.shape[0])
    return _glazed(draw, face, glass, frame, opacity=draw.uniform(0.82, 1.0)), glass


def spectacles(draw: Draw, face: Pixels, points: NDArray[np.float32]) -> tuple[Pixels, Mask]:
    """Ordinary glasses: any frame, lenses clear or slightly tinted, covering nothing."""
    glass, frame = lenses(draw, points, face.shape[0])
    return _glazed(draw, face, glass, frame, opacity=max(0.0, draw.uniform(-0.2, 0.3))), np.zeros_like(glass)


def _glazed(draw: Draw, face: Pixels, glass: Mask, frame: Mask, *, opacity: float) -> Pixels:
    tint = draw.uniform(0, 0.16, 3) if draw.random() < 0.75 else draw.uniform(0, 0.7, 3)
    height = np.linspace(-1, 1, face.shape[0], dtype=np.float32)[:, None, None]
    colour = tint + draw.uniform(-0.1, 0.5) * np.maximum(0, height + draw.uniform(-0.2, 0.4))
    if draw.random() < 0.5:  # something bright is mirrored
        sheen = Sketch(face.shape[0])
        start = (draw.uniform(0.2, 0.8), draw.uniform(0.2, 0.4))
        sheen.bar(start, (start[0] + draw.uniform(-0.2, 0.2), start[1] + 0.2), draw.uniform(0.02, 0.1))
        colour = colour + draw.uniform(0.1, 0.6) * sheen.mask(0.02)[..., None]
    face = _over(face, colour, glass * opacity)
    return _over(face, draw.uniform(0, 1) ** 2 * draw.uniform(0.3, 1, 3), frame)


def hand(draw: Draw, face: Pixels, points: NDArray[np.float32], target: Spot, skin: Pixels) -> tuple[Pixels, Mask]:
    """Fingers side by side that come in from below or from a side and end about `target`."""
    side_px = face.shape[0]
    fingers, width = int(draw.integers(1, 5)), draw.uniform(0.06, 0.11)
    angle = draw.uniform(-0.2, math.pi + 0.2)  # from the right over below to the left
    along, across = (math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))
    whole, seams = Sketch(side_px), Sketch(side_px)
    for i in range(fingers):
        aside = (i - (fingers - 1) / 2) * width * 0.92
        reach = draw.uniform(-0.1, 0.05)
        tip = tuple(t + a * aside - b * -reach for t, a, b in zip(target, across, along, strict=True))
        end = tuple(t + b * draw.uniform(0.5, 0.9) for t, b in zip(tip, along, strict=True))
        whole.bar((tip[0], tip[1]), (end[0], end[1]), width)
        edge = tuple(t + a * width * 0.48 for t, a in zip(tip, across, strict=True))
        far = tuple(t + a * width * 0.48 for t, a in zip(end, across, strict=True))
        seams.bar((edge[0], edge[1]), (far[0], far[1]), 0.008)
    mask = whole.mask(draw.uniform(0.002, 0.012))
    shadow = 1 - np.float32(draw.uniform(0.1, 0.5)) * _moved(whole.mask(0.03), draw)[..., None]
    face = _over((face * shadow).astype(np.float32), skin * np.float32(draw.uniform(0.75, 1.15)), mask)
    return _over(face, face * np.float32(draw.uniform(0.3, 0.8)), seams.mask(0.008) * mask), mask


def mask_of_cloth(draw: Draw, face: Pixels, points: NDArray[np.float32], stuff: Pixels) -> tuple[Pixels, Mask]:
    """A mask or a scarf: from the nose, or from just above the lips, down over the chin."""
    top = float(points[[6, 197, 5, 4][int(draw.integers(4))], 1])
    right, left, chin = points[234], points[454], points[152]
    cheek = (float(right[1]) + float(left[1])) / 2 + draw.uniform(0.0, 0.1)
    low = float(chin[1]) + draw.uniform(0.0, 0.1)
    sketch = Sketch(face.shape[0])
    middle = (float(right[0]) + float(left[0])) / 2
    sketch.polygon(
        [
            (float(right[0]) - 0.02, cheek),
            (middle - 0.08, top + 0.01),
            (middle, top),
            (middle + 0.08, top + 0.01),
            (float(left[0]) + 0.02, cheek),
            (float(left[0]) * 0.85 + middle * 0.15, low - 0.06),
            (middle, low),
            (float(right[0]) * 0.85 + middle * 0.15, low - 0.06),
        ]
    )
    pleats = 1 - draw.uniform(0, 0.2) * np.sin(np.arange(face.shape[0]) / draw.uniform(1.5, 5))[:, None, None].clip(0)
    mask = sketch.mask()
    return _over(face, stuff * pleats, mask), mask


def thing(draw: Draw, face: Pixels, points: NDArray[np.float32], target: Spot, stuff: Pixels) -> tuple[Pixels, Mask]:
    """A microphone, a telephone, a cup or a shapeless patch about `target`."""
    sketch = Sketch(face.shape[0])
    half_width = draw.uniform(0.06, 0.2)
    turn = draw.uniform(-1.0, 1.0)
    sketch.polygon(outline(draw, target, half_width, half_width * draw.uniform(0.6, 2.0), turn))
    if draw.random() < 0.5:
        handle = (target[0] + draw.uniform(-0.5, 0.5), target[1] + draw.uniform(0.3, 0.8))
        sketch.bar(target, handle, half_width * draw.uniform(0.4, 0.9))
    mask = sketch.mask(draw.uniform(0.002, 0.01))
    return _over(face, stuff, mask), mask


def _over(face: Pixels, colour: Pixels | NDArray[np.float64], mask: Mask) -> Pixels:
    return (face + mask[..., None] * (colour - face)).astype(np.float32).clip(0, 1)


def _moved(mask: Mask, draw: Draw) -> Mask:
    return np.roll(mask, draw.integers(-4, 5, 2).tolist(), axis=(0, 1))


def _stuff(draw: Draw, face: Pixels, other: Pixels) -> Pixels:
    """What a thing is made of: one colour with a shade, or whatever another photo shows somewhere."""
    if draw.random() < 0.4:
        side = face.shape[0]
        x, y = draw.integers(0, side // 2, 2)
        piece = Image.fromarray((other[y : y + side // 2, x : x + side // 2] * 255).astype(np.uint8))
        return np.asarray(piece.resize((side, side)), np.float32) / np.float32(255)
    shade = np.linspace(draw.uniform(0.5, 1), draw.uniform(0.5, 1), face.shape[0])[None, :, None]
    colour = draw.uniform(0, 1, 3) if draw.random() < 0.4 else np.full(3, draw.choice([0.05, 0.15, 0.9, 1.0]))
    return np.broadcast_to(colour * shade, face.shape).astype(np.float32)


def _skin(draw: Draw, face: Pixels, other: Pixels, points: NDArray[np.float32]) -> Pixels:
    """Skin for a hand: the face's own colour at a cheek, with the grain and shades of another photo."""
    x, y = (points[int(draw.choice([50, 280, 151]))] * face.shape[0]).astype(int).clip(3, face.shape[0] - 4)
    own = face[y - 3 : y + 4, x - 3 : x + 4].mean(axis=(0, 1))
    grain = other.mean(axis=2, keepdims=True)
    return own * (1 + draw.uniform(0.2, 0.7) * (grain - grain.mean()))


_Cover = Callable[[Draw, Pixels, NDArray[np.float32], Pixels], tuple[Pixels, Mask]]


def _aimed(draw: Draw, points: NDArray[np.float32]) -> Spot:
    """Mostly at the mouth or an eye; else beside them, so that a hand by itself means nothing."""
    where = draw.choice(["mouth", "eye", "beside"], p=[0.5, 0.15, 0.35])
    if where == "beside":
        x, y = points[int(draw.choice([152, 172, 397, 50, 280, 10, 54, 284]))].tolist()
        return x + draw.uniform(-0.06, 0.06), y + draw.uniform(-0.06, 0.06)
    x, y = _middle(points, _LIPS if where == "mouth" else _EYES[int(draw.integers(2))])
    return x + draw.normal(0, 0.02), y + draw.normal(0, 0.02)


def _hand_somewhere(draw: Draw, face: Pixels, points: NDArray[np.float32], other: Pixels) -> tuple[Pixels, Mask]:
    return hand(draw, face, points, _aimed(draw, points), _skin(draw, face, other, points))


def _thing_somewhere(draw: Draw, face: Pixels, points: NDArray[np.float32], other: Pixels) -> tuple[Pixels, Mask]:
    return thing(draw, face, points, _aimed(draw, points), _stuff(draw, face, other))


def _cloth(draw: Draw, face: Pixels, points: NDArray[np.float32], other: Pixels) -> tuple[Pixels, Mask]:
    return mask_of_cloth(draw, face, points, _stuff(draw, face, other))


_COVERS: Final[tuple[tuple[_Cover, float], ...]] = (
    (lambda draw, face, points, other: sunglasses(draw, face, points), 0.3),
    (lambda draw, face, points, other: spectacles(draw, face, points), 0.15),
    (_hand_somewhere, 0.3),
    (_thing_somewhere, 0.15),
    (_cloth, 0.1),
)


def cover(draw: Draw, face: Pixels, points: NDArray[np.float32], other: Pixels) -> tuple[Pixels, tuple[float, float]]:
    """Draw one thing over a face.

    Args:
        draw: Random numbers.
        face: Aligned crop, [S, S, 3], float32, 0 to 1.
        points: Mesh points in crop units, [478, 2].
        other: Another crop, whose stuff may be taken.

    Returns:
        The new crop and its labels for eyes and mouth, see `verdicts`.
    """
    kind, _ = _COVERS[int(draw.choice(len(_COVERS), p=[share for _, share in _COVERS]))]
    drawn, mask = kind(draw, face, points, other)
    return drawn, verdicts(mask, points)
