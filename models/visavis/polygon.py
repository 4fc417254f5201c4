"""Signed distance to polygons: how the renderer knows the openings of mouth and eyes to a fraction of a pixel."""

import torch
from torch import Tensor


def signed_distance(points: Tensor, polygon: Tensor) -> Tensor:
    """Distance of points to the outline of a closed polygon, positive inside.

    Args:
        points: [M, 2], or [B, M, 2] where each polygon has its own, float, px.
        polygon: Corners in order, [B, E, 2], float, px; the last joins the first. May touch itself: a closed mouth.

    Returns:
        [B, M], px.

    Source:
        Haines, "Point in Polygon Strategies", Graphics Gems IV, 1994 (crossings test).
    """
    x, y = polygon[..., 0, None], polygon[..., 1, None]  # [B, E, 1]
    edge_x, edge_y = x.roll(-1, 1) - x, y.roll(-1, 1) - y
    off_x, off_y = points[..., None, :, 0] - x, points[..., None, :, 1] - y  # [B, E, M]
    length = (edge_x * edge_x + edge_y * edge_y).clamp(min=1e-6)
    along = ((off_x * edge_x + off_y * edge_y) / length).clamp_(0.0, 1.0)
    near_x, near_y = off_x - along * edge_x, off_y - along * edge_y
    distance = (near_x * near_x + near_y * near_y).amin(1).sqrt()  # [B, M]
    straddles = (off_y < 0) != (off_y < edge_y)
    right = (off_x * edge_y < off_y * edge_x) == (edge_y > 0)
    inside = (straddles & right).sum(1) % 2 == 1
    return torch.where(inside, distance, -distance)
