"""Many warped photos into one sharp face: register them as a group, then blend them band by band.

Low bands are a robust mean of everybody. The two finest bands (pores, lashes, hair) come region by region from a
different donor each, so that no part larger than an eye or a mouth is one person's.
"""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional

from models.training.demo_shape import SIZE_PX, Points

_OVAL: Final = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
_EYES: Final = (
    (70, 63, 105, 66, 107, 55, 193, 245, 128, 121, 120, 119, 118, 117, 111, 143, 156),
    (300, 293, 334, 296, 336, 285, 417, 465, 357, 350, 349, 348, 347, 346, 340, 372, 383),
)
_CHIN: Final = 152
_MOUTH_CORNERS: Final = (61, 291)

_REGISTER_PX: Final = 192
_REGISTER_GRID: Final = 24
_REGISTER_SIGMAS_PX: Final = (4.5, 2.2, 1.1)
_REGISTER_RATES: Final = (0.008, 0.004, 0.003)
_REGISTER_STEPS: Final = 30

_BANDS: Final = 4
_OWN_BANDS: Final = 2  # the finest, from one donor a region
_BAND_SIGMA_PX: Final = 0.9
_GAIN_LIMITS: Final = {2: 2.0, 3: 1.35}
_DETAIL: Final = 0.9
_DETAIL_BELOW_CHIN: Final = 0.25  # necks and collars fit each other least
_FADE_PX: Final = 25.0
_REGIONS: Final = 16
_REGION_APART_PX: Final = 54.0


def blur(x: Tensor, sigma_px: float) -> Tensor:
    """Gaussian blur of [N, C, H, W], the edge pixels repeated."""
    radius = int(3 * sigma_px)
    weight = torch.exp(-(torch.arange(-radius, radius + 1.0) ** 2) / (2 * sigma_px**2))
    weight, channels = weight / weight.sum(), x.shape[1]
    x = functional.pad(x, (radius, radius, radius, radius), mode="replicate")
    x = functional.conv2d(x, weight.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)
    return functional.conv2d(x, weight.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)


def face_mask(shape: Points, *, grow: float, soft_px: float) -> Tensor:
    """The face's oval, scaled by `grow` about its middle: [1, 1, S, S], 0 to 1."""
    oval = shape[list(_OVAL)]
    return _filled((oval - oval.mean(0)) * grow + oval.mean(0), soft_px)


def mouth_mask(shape: Points, *, soft_px: float = 9.0) -> Tensor:
    """Lips and what a smile moves around them: [1, 1, S, S], 0 to 1."""
    right, left = shape[_MOUTH_CORNERS[0]], shape[_MOUTH_CORNERS[1]]
    width_px, angle = left[0] - right[0], np.linspace(0, 2 * np.pi, 60, endpoint=False)
    centre = (right + left) / 2 + (0.0, 0.02 * width_px)
    return _filled(centre + width_px * np.stack([0.95 * np.cos(angle), 0.62 * np.sin(angle)], axis=1), soft_px)


def even_tone(photos: Tensor, shape: Points) -> Tensor:
    """Give all faces the group's mean colour; photos and result [N, 3, S, S]."""
    inner = face_mask(shape, grow=0.85, soft_px=6.0)
    skin = (photos * inner).sum((2, 3)) / inner.sum()
    gain = skin.log().mean(0).exp() / skin
    return photos * (1 + (gain[:, :, None, None] - 1) * face_mask(shape, grow=1.25, soft_px=25.0))


def register(photos: Tensor, cover: Tensor, free: Tensor) -> Tensor:
    """Bend the photos onto each other where landmarks cannot: hair, ears, neck, clothes.

    Each photo moves by a smooth field until all differ least from their common middle, coarse to fine.

    Args:
        photos: [N, 3, S, S], sRGB 0 to 1, already warped to one shape.
        cover: How far each pixel of each photo counts, [N, 1, S, S], 0 to 1.
        free: Where pixels may move, [1, 1, S, S], 0 to 1.

    Returns:
        Shifts [N, S, S, 2] in `grid_sample`'s units (2 is the picture's width).
    """
    small = functional.interpolate(photos, size=_REGISTER_PX, mode="area")
    counts = functional.interpolate(cover, size=_REGISTER_PX, mode="area")
    movable = functional.interpolate(free, size=_REGISTER_PX, mode="area")
    knots = torch.zeros(len(photos), 2, _REGISTER_GRID, _REGISTER_GRID, requires_grad=True)
    for sigma_px, rate in zip(_REGISTER_SIGMAS_PX, _REGISTER_RATES, strict=True):
        seen = blur(small, sigma_px)
        seen = seen - 0.7 * blur(seen, 18.0)
        middle = seen.mean(0, keepdim=True)
        optimiser = torch.optim.Adam([knots], lr=rate)
        for step in range(_REGISTER_STEPS):
            moved = functional.grid_sample(
                seen, identity_grid(_REGISTER_PX) + _dense(knots, movable), padding_mode="border", align_corners=False
            )
            if step % 10 == 0:
                middle = (moved.detach().median(0, keepdim=True).values + moved.detach().mean(0, keepdim=True)) / 2
            apart = 6.0 * ((moved - middle).abs() * counts).mean()
            bent = knots.diff(dim=2).square().mean() + knots.diff(dim=3).square().mean()
            loss = apart + 60.0 * bent + 50.0 * knots.mean(0).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return _dense(knots.detach(), free)


def identity_grid(size_px: int) -> Tensor:
    """`grid_sample`'s map of a picture onto itself, [1, S, S, 2]."""
    at = (torch.arange(size_px) + 0.5) / size_px * 2 - 1
    return torch.stack(torch.meshgrid(at, at, indexing="xy"), dim=-1)[None]


def blend(photos: Tensor, cover: Tensor, closed: Tensor, shape: Points, *, seed: int) -> Tensor:
    """One face out of many that lie exactly on each other.

    Args:
        photos: [N, 3, S, S], sRGB 0 to 1.
        cover: How far each pixel of each photo counts, [N, 1, S, S], 0 to 1.
        closed: Whose lips are closed, [N], bool: only they count around the mouth.
        shape: Landmarks all photos were brought to, [478, 2], px.
        seed: Of the regions of single donors.

    Returns:
        Picture [3, S, S], 0 to 1.
    """
    mouth = mouth_mask(shape)
    speaks = closed.float()[:, None, None, None]
    weight = cover * (1 - mouth * (1 - speaks)) + 1e-6
    base = _middle(photos, weight)
    bands, base_bands = _bands(photos), _bands(base[None])
    picture = base - sum(band[0] for band in base_bands[:_OWN_BANDS])
    for level, limit in _GAIN_LIMITS.items():  # averaging has damped these bands: back to the donors' strength
        wanted = blur((bands[level].square() * weight).sum(0, keepdim=True) / weight.sum(0), 6.0).mean(1)
        got = blur(base_bands[level].square(), 6.0).mean(1)
        picture = picture + base_bands[level][0] * (((wanted + 1e-7) / (got + 1e-6)).sqrt().clamp(1.0, limit) - 1)
    regions = _regions(shape, mouth, seed)
    chosen = _choose(regions, bands, base_bands, cover, closed)
    detail = torch.zeros_like(base)
    for region, donor in zip(regions, chosen, strict=True):
        detail += region * sum(band[donor] for band in bands[:_OWN_BANDS])
    total = regions.sum(0)
    below = (torch.arange(SIZE_PX)[:, None] - float(shape[_CHIN, 1])) / _FADE_PX
    detail = detail * (1 - (1 - _DETAIL_BELOW_CHIN) * below.clamp(0, 1))
    return (picture + _DETAIL * detail / total.clamp_min(1e-3) * total.clamp_max(1.0)).clamp(0, 1)


def _filled(outline: NDArray[np.float64], soft_px: float) -> Tensor:
    mask = Image.new("L", (SIZE_PX, SIZE_PX))
    ImageDraw.Draw(mask).polygon([(float(x), float(y)) for x, y in outline], fill=255)
    return blur(torch.from_numpy(np.asarray(mask, dtype=np.float32) / 255.0)[None, None], soft_px)


def _dense(knots: Tensor, movable: Tensor) -> Tensor:
    """Shifts [N, S, S, 2] from a coarse grid [N, 2, G, G]."""
    size = movable.shape[-2:]
    field = functional.interpolate(knots, size=size, mode="bicubic", align_corners=False) * movable
    return field.permute(0, 2, 3, 1)


def _middle(photos: Tensor, weight: Tensor) -> Tensor:
    """The colour nearest to all photos' at each pixel (Weiszfeld's iteration for the geometric median)."""
    middle = (photos * weight).sum(0) / weight.sum(0)
    for _ in range(8):
        near = weight / ((photos - middle).norm(dim=1, keepdim=True) + 0.01)
        middle = (photos * near).sum(0) / near.sum(0)
    return middle


def _bands(x: Tensor) -> list[Tensor]:
    """Differences of ever wider blurs, the finest first; each like `x`, [N, 3, S, S]."""
    bands: list[Tensor] = []
    for level in range(_BANDS):
        wider = blur(x, _BAND_SIGMA_PX * 2**level)
        bands.append(x - wider)
        x = wider
    return bands


def _regions(shape: Points, mouth: Tensor, seed: int) -> Tensor:
    """Soft regions [R, S, S] that add up to 1 over the frame; the eyes together, then the mouth, come last."""
    random = np.random.default_rng(seed)
    low, high = np.array([70.0, 25.0]), np.array([442.0, 480.0])
    seeds: list[NDArray[np.float64]] = []
    while len(seeds) < _REGIONS:
        point = random.uniform(low, high)
        if all(np.linalg.norm(point - other) > _REGION_APART_PX for other in seeds):
            seeds.append(point)
    y, x = np.mgrid[:SIZE_PX, :SIZE_PX]
    nearest = np.stack([(x - px) ** 2 + (y - py) ** 2 for px, py in seeds]).argmin(0)
    hard = torch.from_numpy(np.stack([nearest == i for i in range(_REGIONS)])).float()
    cells = blur(hard[None], 6.0)[0]
    eyes = sum((_filled(shape[list(eye)], 6.0) for eye in _EYES), torch.zeros(1, 1, SIZE_PX, SIZE_PX)).clamp_max(1.0)
    return torch.cat([cells * (1 - eyes[0]) * (1 - mouth[0]), eyes[0], mouth[0] * (1 - eyes[0])])


def _choose(regions: Tensor, bands: list[Tensor], base_bands: list[Tensor], cover: Tensor, closed: Tensor) -> list[int]:
    """Whose detail to take in each region: like the blend there, neither soft nor noisy, and not asked before."""
    away = (torch.stack(bands[_OWN_BANDS:]).sum(0) - torch.stack(base_bands[_OWN_BANDS:]).sum(0)).square().mean(1)
    energy = sum(band.square().mean(1) for band in bands[:_OWN_BANDS])
    asked = torch.zeros(len(cover))
    chosen: list[int] = []
    for i, region in enumerate(regions):
        share = region / region.sum()
        unlike, strength = (away * share).sum((1, 2)), ((energy * share).sum((1, 2)) + 1e-9).log()
        missing = 1 - (cover[:, 0] * share).sum((1, 2))
        cost = unlike / unlike.median() + 2.0 * missing + 0.8 * (strength - strength.median() - 0.2).abs() + asked
        if i == len(regions) - 1:
            cost = cost + 10.0 * ~closed
        chosen.append(int(cost.argmin()))
        asked[chosen[-1]] += 0.6
    return chosen
