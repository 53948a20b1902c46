"""How far apart two pictures look, so that golden pictures hold on machines whose last digits differ."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

_SCALES = 4
_WINDOW = 7
_C1, _C2 = 0.01**2, 0.03**2


def _structure(one: torch.Tensor, other: torch.Tensor) -> float:  # [1, 3, H, W] in 0..1 each
    """Structural similarity (Wang et al. 2004) with a square window, mean over places and channels; 1 is the same."""

    def mean(x: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(x, _WINDOW, 1)

    a, b = mean(one), mean(other)
    var_a, var_b, both = mean(one * one) - a * a, mean(other * other) - b * b, mean(one * other) - a * b
    values = (2 * a * b + _C1) * (2 * both + _C2) / ((a * a + b * b + _C1) * (var_a + var_b + _C2))
    return float(values.mean())


def distance(one: np.ndarray, other: np.ndarray) -> float:  # [H, W, 3] uint8 each
    """0 for the same picture, about 1 for unlike ones: lost structure, mean over four sizes from whole to an eighth."""
    if one.shape != other.shape:
        raise ValueError(f"pictures of {one.shape} and {other.shape} cannot be compared")
    a, b = (torch.from_numpy(p.astype(np.float32)).permute(2, 0, 1)[None] / 255 for p in (one, other))
    lost = []
    for _ in range(_SCALES):
        lost.append(1 - _structure(a, b))
        a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
    return float(np.mean(lost))
