"""Augmentations as vectors: drawn, told to the transformation predictor, and applied to the input.

Layout (specification 4.2). Both modalities share a block of 17 entries: crop on, top, left, height, width; jitter on,
its order (4), brightness - 1, contrast - 1, saturation - 1, hue; blur on, sigma; flip. Sound has seven entries before
it: mask on, first and last masked hop, first and last masked band (not normalised), shift on, shift / hops. Pictures
have one after it: grey.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

SOUND_ENTRIES: Final = 7
PICTURE_ENTRIES: Final = 17
_CROP_TRIES: Final = 10


@dataclass(frozen=True)
class Ranges:
    """How strongly one modality is augmented; the defaults are those that all published ranges share.

    Attributes:
        sound: Whether the vectors are those of sound (24 entries) or of pictures (18).
        ratio: Width / height of a crop in px (bands / hops of sound).
        least_area: Of a crop, as a share of the input.
        bounded: Whether jitter keeps values within 0 to 1. Published code does so with standardised sound, too.
        mask_hops, mask_bands: Longest masks; mask and shift come together with probability `sound_chance`.
        shift: Largest circular shift in time, as a share of the input.
    """

    sound: bool
    ratio: tuple[float, float]
    least_area: float = 0.08
    bounded: bool = True
    jitter: float = 0.4
    hue: float = 0.1
    jitter_chance: float = 0.8
    sigma: tuple[float, float] = (0.1, 2.0)
    blur_chance: float = 0.5
    flip_chance: float = 0.5
    grey_chance: float = 0.2
    sound_chance: float = 0.8
    mask_hops: int = 192
    mask_bands: int = 48
    shift: float = 1.0

    @property
    def reach(self) -> tuple[float, float, float, float]:
        """Largest amounts of the four kinds of jitter."""
        return (self.jitter, self.jitter, self.jitter, self.hue)


PUBLISHED_SOUND: Final = Ranges(sound=True, ratio=(0.1, 0.1875))
PUBLISHED_PICTURE: Final = Ranges(sound=False, ratio=(3 / 4, 4 / 3))
TALKING_SOUND: Final = Ranges(
    sound=True, ratio=(1.6, 3.0), least_area=0.5, bounded=False, mask_hops=0, mask_bands=0, shift=0.3, flip_chance=0.0
)
"""For 64 hops: no masks and no flip, shifts up to 190 ms, each of them told to the predictor."""
TALKING_MOUTH: Final = Ranges(sound=False, ratio=(1.25, 2.2), least_area=0.5, hue=0.0, sigma=(0.1, 1.0))
"""For mouths of 40 x 24 px; all frames of a window get the same. Turning the hue costs most, and tells least."""


def draw(count: int, size: tuple[int, int], ranges: Ranges, rng: torch.Generator) -> Tensor:
    """Random augmentation vectors.

    Args:
        count: How many.
        size: Rows and columns of the input, hops and bands of sound.

    Returns:
        [count, 24] for sound, [count, 18] for pictures, float32.
    """
    picture = _draw_picture(count, size, ranges, rng)
    if ranges.sound:
        return torch.cat([_draw_sound(count, size, ranges, rng), picture], 1)
    return torch.cat([picture, _coin(count, ranges.grey_chance, rng)[:, None]], 1)


def apply(inputs: Tensor, vectors: Tensor, ranges: Ranges) -> Tensor:
    """Do what `vectors` say: masks, shift, crop, jitter, blur, flip, grey, in this order.

    Published code rolls the channels of its sound, which changes nothing; here the time is rolled.

    Args:
        inputs: Sound [N, C, hops, bands], standardised, or pictures [N, 3, H, W], 0 to 1.
        vectors: From `draw`, [N, 24] or [N, 18].

    Returns:
        The same shape as `inputs`, which are not modified.
    """
    if not ranges.sound:
        return _grey_rows(_apply_picture(inputs, vectors, ranges), vectors[:, PICTURE_ENTRIES])
    return _apply_picture(_apply_sound(inputs, vectors), vectors[:, SOUND_ENTRIES:], ranges)


def _uniform(low: float, high: float, count: int, rng: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(count, generator=rng)


def _coin(count: int, chance: float, rng: torch.Generator) -> Tensor:
    return (torch.rand(count, generator=rng) < chance).float()


def _draw_sound(count: int, size: tuple[int, int], ranges: Ranges, rng: torch.Generator) -> Tensor:
    bounds: list[Tensor] = []
    for length, longest in zip(size, (ranges.mask_hops, ranges.mask_bands), strict=True):
        masked = _uniform(0, longest, count, rng)
        first = (torch.rand(count, generator=rng) * (length - masked)).floor()
        bounds += [first, first + masked.floor()]
    on = _coin(count, ranges.sound_chance, rng)
    mask_on = on if ranges.mask_hops else torch.zeros(count)
    shift = (_uniform(-ranges.shift, ranges.shift, count, rng) * size[0]).trunc() / size[0]
    return torch.stack([mask_on, *(mask_on * bound for bound in bounds), on, on * shift], 1)


def _draw_picture(count: int, size: tuple[int, int], ranges: Ranges, rng: torch.Generator) -> Tensor:
    boxes = torch.tensor([_draw_box(size, ranges, rng) for _ in range(count)])
    # published code divides the rows of sound by its bands and the columns by its hops
    unit = torch.tensor(size[::-1] if ranges.sound else size).repeat(2)
    jitter = _coin(count, ranges.jitter_chance, rng)[:, None]
    order = torch.rand(count, 4, generator=rng).argsort(1)
    amounts = (2 * torch.rand(count, 4, generator=rng) - 1) * torch.tensor(ranges.reach)
    blur = _coin(count, ranges.blur_chance, rng)
    parts = [
        torch.ones(count, 1),
        boxes / unit,
        jitter,
        torch.where(jitter > 0, order, torch.arange(4)),
        jitter * amounts,
        blur[:, None],
        (blur * _uniform(*ranges.sigma, count, rng))[:, None],
        _coin(count, ranges.flip_chance, rng)[:, None],
    ]
    return torch.cat(parts, 1)


def _draw_box(size: tuple[int, int], ranges: Ranges, rng: torch.Generator) -> tuple[int, int, int, int]:
    """Top, left, height and width of a random crop; a centred one if ten tries do not fit."""
    rows, columns = size
    for _ in range(_CROP_TRIES):
        area = rows * columns * float(_uniform(ranges.least_area, 1.0, 1, rng))
        low, high = torch.tensor(ranges.ratio).log().tolist()
        ratio = float(_uniform(low, high, 1, rng).exp())
        height, width = round((area / ratio) ** 0.5), round((area * ratio) ** 0.5)
        if 0 < height <= rows and 0 < width <= columns:
            top = int(torch.randint(rows - height + 1, (1,), generator=rng))
            return top, int(torch.randint(columns - width + 1, (1,), generator=rng)), height, width
    ratio = min(max(columns / rows, ranges.ratio[0]), ranges.ratio[1])
    height, width = min(rows, round(columns / ratio)), min(columns, round(rows * ratio))
    return (rows - height) // 2, (columns - width) // 2, height, width


def _apply_sound(sound: Tensor, vectors: Tensor) -> Tensor:
    hops, bands = sound.shape[2:]
    hop, band = torch.arange(hops), torch.arange(bands)
    first_hop, last_hop, first_band, last_band = vectors[:, 1:5, None].unbind(1)
    masked_hop = (hop >= first_hop) & (hop < last_hop)
    masked_band = (band >= first_band) & (band < last_band)
    masked = (masked_hop[:, :, None] | masked_band[:, None]) & (vectors[:, 0, None, None] > 0)
    shift = (vectors[:, 6] * hops).round().long()
    source = (hop - shift[:, None]) % hops
    rows = torch.arange(len(sound))[:, None]
    return sound.masked_fill(masked[:, None], 0.0).transpose(1, 2)[rows, source].transpose(1, 2)


def _apply_picture(inputs: Tensor, block: Tensor, ranges: Ranges) -> Tensor:
    out = _crop(inputs, block[:, 1:5], ranges)
    for step in block[:, 6:10].long().unbind(1):
        for kind, change in enumerate(_JITTERS):
            rows = ((step == kind) & (block[:, 5] > 0)).nonzero()[:, 0]
            if len(rows) == 0 or ranges.reach[kind] == 0:
                continue
            changed = change(out[rows], block[rows, 10 + kind, None, None, None])
            out[rows] = changed.clamp_(0, 1) if ranges.bounded else changed
    blurred = (block[:, 14] > 0).nonzero()[:, 0]
    out[blurred] = _blur(out[blurred], block[blurred, 15])
    return torch.where(block[:, 16, None, None, None] > 0, out.flip(3), out)


def _crop(inputs: Tensor, box: Tensor, ranges: Ranges) -> Tensor:
    rows, columns = inputs.shape[2:]
    unit = torch.tensor([columns, rows] if ranges.sound else [rows, columns]).repeat(2)
    whole = torch.tensor([rows, columns]).repeat(2)
    top, left, height, width = (box * unit / whole).unbind(1)
    flat = torch.zeros_like(top)
    across = torch.stack([width, flat, 2 * left + width - 1], 1)
    down = torch.stack([flat, height, 2 * top + height - 1], 1)
    grid = F.affine_grid(torch.stack([across, down], 1), list(inputs.shape), align_corners=False)
    return F.grid_sample(inputs, grid, padding_mode="border", align_corners=False)


def _grey(inputs: Tensor) -> Tensor:
    """Luma of RGB [N, 3, H, W], [N, 1, H, W]; one channel is its own."""
    if inputs.shape[1] == 1:
        return inputs
    return (inputs * inputs.new_tensor([0.2989, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)


def _grey_rows(pictures: Tensor, on: Tensor) -> Tensor:
    return torch.where(on[:, None, None, None] > 0, _grey(pictures), pictures)


def _brighten(inputs: Tensor, amount: Tensor) -> Tensor:
    return inputs * (1 + amount)


def _contrast(inputs: Tensor, amount: Tensor) -> Tensor:
    middle = _grey(inputs).mean(dim=(1, 2, 3), keepdim=True)
    return middle + (1 + amount) * (inputs - middle)


def _saturate(inputs: Tensor, amount: Tensor) -> Tensor:
    grey = _grey(inputs)
    return grey + (1 + amount) * (inputs - grey)


def _turn_hue(inputs: Tensor, amount: Tensor) -> Tensor:
    """Turn the hue of RGB by `amount` of a circle, by way of hue, saturation and value; sound has none."""
    if inputs.shape[1] == 1:
        return inputs
    value, least = inputs.amax(1, keepdim=True), inputs.amin(1, keepdim=True)
    chroma = value - least
    red, green, blue = (inputs / chroma.clamp_min(1e-8)).split(1, 1)
    sector = torch.where(
        inputs[:, :1] == value,
        green - blue,
        torch.where(inputs[:, 1:2] == value, blue - red + 2, red - green + 4),
    )
    turned = sector + 6 * amount
    # a channel falls by the chroma where its own sector is at least two sixths away
    places = inputs.new_tensor([5.0, 3.0, 1.0])[:, None, None]
    away = (turned + places) % 6
    return value - chroma * torch.minimum(away, 4 - away).clamp(0, 1)


_JITTERS: Final[tuple[Callable[[Tensor, Tensor], Tensor], ...]] = (_brighten, _contrast, _saturate, _turn_hue)


def _blur(inputs: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur of each row by its sigma, cut off at ceil(sigma) px, edges mirrored."""
    if len(inputs) == 0:
        return inputs
    count, channels = inputs.shape[:2]
    reach = int(sigma.max().ceil())
    taps = torch.arange(-reach, reach + 1.0)
    weights = (-taps.square() / (2 * sigma.square()[:, None])).exp() * (taps.abs() <= sigma.ceil()[:, None])
    weights = (weights / weights.sum(1, keepdim=True)).repeat_interleave(channels, 0)[:, None]
    planes = F.pad(inputs.flatten(0, 1)[None], [reach] * 4, mode="reflect")
    planes = F.conv2d(planes, weights[:, :, :, None], groups=count * channels)
    return F.conv2d(planes, weights[:, :, None], groups=count * channels)[0].unflatten(0, (count, channels))
