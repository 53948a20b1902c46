"""LoKr: the Kronecker product of a small and a larger matrix, each whole or of low rank (LyCORIS)."""

from __future__ import annotations

import torch

from atelier.networks.form import Form, Parts, shaped
from atelier.networks.loha import product_shape, tucker


def delta(parts: Parts, weight: torch.Tensor, dyn: int | None) -> torch.Tensor:
    small, large = _factor(parts, "1", dyn), _factor(parts, "2", dyn)
    # A convolution's kernel belongs to the larger factor alone.
    small = small.reshape(*small.shape, *[1] * (large.ndim - small.ndim))
    return shaped(torch.kron(small, large.contiguous()), weight)


def _factor(parts: Parts, side: str, dyn: int | None) -> torch.Tensor:
    whole = parts.get(f"lokr_w{side}")
    if whole is not None:
        return whole
    a, b, core = parts[f"lokr_w{side}_a"], parts[f"lokr_w{side}_b"], parts.get(f"lokr_t{side}")
    if core is None:
        return a[:, :dyn] @ b[:dyn]
    return tucker(core[:dyn, :dyn], a[:dyn], b[:dyn])


def _rank(parts: Parts) -> int | None:
    """With both factors whole there is no rank, and alpha does not scale."""
    narrow = next((parts[name] for name in ("lokr_w1_b", "lokr_w2_b") if name in parts), None)
    return None if narrow is None else narrow.shape[0]


def _shape(parts: Parts) -> tuple[int, ...]:
    small, large = _factor_shape(parts, "1"), _factor_shape(parts, "2")
    return (small[0] * large[0], small[1] * large[1], *large[2:])


def _factor_shape(parts: Parts, side: str) -> tuple[int, ...]:
    whole = parts.get(f"lokr_w{side}")
    if whole is not None:
        return tuple(whole.shape)
    return product_shape(parts[f"lokr_w{side}_a"], parts[f"lokr_w{side}_b"], parts.get(f"lokr_t{side}"))


LOKR = Form(
    "LoKr",
    fits=lambda parts: (
        any(f"lokr_w1{a}" in parts for a in ("", "_a")) and any(f"lokr_w2{a}" in parts for a in ("", "_a"))
    ),
    delta=delta,
    rank=_rank,
    shape=_shape,
)
