import torch
import torch.nn.functional as F
from torch import Tensor

from kernels.i420.reference import rgb_to_i420_reference


def composite_i420_reference(photo: Tensor, crop: Tensor, matte: Tensor, to_crop: Tensor) -> Tensor:
    """Slow, obvious version of `composite_i420`; same contract, any device. Computes in float64."""
    height, width = photo.shape[2:]
    at = _crop_positions(to_crop.double(), height, width, crop.shape[2], crop.shape[3])
    colour = F.grid_sample(crop.double(), at, padding_mode="border", align_corners=False).clamp(-1, 1)
    cover = F.grid_sample(matte.double().expand(len(photo), -1, -1, -1), at, align_corners=False)  # 0 beyond the crop
    still = photo.double() / 127.5 - 1
    return rgb_to_i420_reference(still + cover * (colour - still))


def _crop_positions(to_crop: Tensor, height: int, width: int, crop_height: int, crop_width: int) -> Tensor:
    """Where each pixel of the photo lies in the crop, [B, height, width, 2], -1 to 1 from edge to edge."""
    rows = torch.arange(height, dtype=to_crop.dtype, device=to_crop.device)
    columns = torch.arange(width, dtype=to_crop.dtype, device=to_crop.device)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    points = torch.stack([x, y, torch.ones_like(x)], dim=-1)  # [height, width, 3]
    places = torch.einsum("hwk,bik->bhwi", points, to_crop)
    return (places * 2 + 1) / places.new_tensor([crop_width, crop_height]) - 1
