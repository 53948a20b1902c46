"""Gaussian blur of maps, as the guidance methods use it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def blurred(maps: Tensor, sigma: float, size: int) -> Tensor:  # [N, C, H, W] -> [N, C, H, W]
    """A Gaussian of `size` x `size` points (odd), no larger than the map; edges are mirrored."""
    height, width = maps.shape[-2:]
    for side, dimension in ((height, -2), (width, -1)):
        points = min(size, side - 1 + side % 2)
        if points < 2:
            continue
        distance = torch.arange(points, dtype=torch.float32) - (points - 1) / 2
        kernel = torch.exp(-0.5 * (distance / sigma) ** 2)
        kernel = (kernel / kernel.sum()).to(maps)
        pad = [0, 0, points // 2, points // 2] if dimension == -2 else [points // 2, points // 2, 0, 0]
        shape = (1, 1, points, 1) if dimension == -2 else (1, 1, 1, points)
        weights = kernel.reshape(shape).expand(maps.shape[1], *shape[1:])
        maps = F.conv2d(F.pad(maps, pad, mode="reflect"), weights, groups=maps.shape[1])
    return maps
