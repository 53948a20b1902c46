"""Whole tensors: full differences, differences of norm layers, and IA3's factors for rows or columns."""

from __future__ import annotations

import torch

from atelier.networks.form import Form, Parts, no_rank, shaped


def full_delta(parts: Parts, weight: torch.Tensor, dyn: int | None) -> torch.Tensor:
    return shaped(parts["diff"], weight)


def norm_delta(parts: Parts, weight: torch.Tensor, dyn: int | None) -> torch.Tensor:
    return shaped(parts["w_norm"], weight)


def ia3_delta(parts: Parts, weight: torch.Tensor, dyn: int | None) -> torch.Tensor:
    """W times w: w has a number for each input column if `on_input`, else for each output row."""
    factor = parts["weight"].reshape(-1)
    if bool(parts["on_input"]):
        return weight * factor.reshape(1, -1, *[1] * (weight.ndim - 2))
    return weight * factor.reshape(-1, *[1] * (weight.ndim - 1))


FULL = Form(
    "full", fits=lambda parts: "diff" in parts, delta=full_delta, rank=no_rank,
    shape=lambda parts: tuple(parts["diff"].shape),
)  # fmt: skip
NORM = Form("norm", fits=lambda parts: "w_norm" in parts, delta=norm_delta, rank=no_rank)
IA3 = Form("IA3", fits=lambda parts: "weight" in parts and "on_input" in parts, delta=ia3_delta, rank=no_rank)
#: the parts that change a layer's bias, in whatever form its weight changes
BIASES = ("diff_b", "b_norm")
