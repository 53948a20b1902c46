"""Merge formulas: how the same weight of two or three models becomes one, in float32."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch

Formula = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, float], torch.Tensor]

NOTHING, SUM, DIFFERENCE, TRAIN = "No interpolation", "Weighted sum", "Add difference", "Train difference"
#: how strongly a trained difference is added, so that a multiplier of 1 gives about what training gave
TRAIN_GAIN = 1.8


@dataclass(frozen=True)
class Method:
    """`models` are those it needs beside the first: "", "B" or "BC"."""

    label: str
    models: str
    formula: Formula


def weighted_sum(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor, m: float) -> torch.Tensor:
    """A (1 - M) + B M"""
    return torch.lerp(a, b, m)


def add_difference(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor, m: float) -> torch.Tensor:
    """A + (B - C) M"""
    return torch.add(a, b - c, alpha=m)


def train_difference(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor, m: float) -> torch.Tensor:
    """A + 1.8 M (B - C) |B - A| / (|B - C| + |B - A|), which SwiftIllusion proposed for SuperMerger in 2023.

    Confirmed by sd-mecha (ljleb, MIT): its `train_difference_mask` is the factor of (B - C). What A has learned
    already, where it is near B, is not added once more; (B - C) = 0 changes nothing.
    """
    learned, distance = b - c, (b - a).abs_()
    whole = learned.abs().add_(distance)
    share = torch.where(whole > 0, distance / whole, torch.zeros_like(whole))
    return torch.add(a, learned.mul_(share), alpha=TRAIN_GAIN * m)


METHODS: Mapping[str, Method] = MappingProxyType({
    method.label: method
    for method in (
        Method(NOTHING, "", lambda a, b, c, m: a),
        Method(SUM, "B", weighted_sum),
        Method(DIFFERENCE, "BC", add_difference),
        Method(TRAIN, "BC", train_difference),
    )
})  # fmt: skip
