"""LoHa: the elementwise product of two low-rank matrices (Hyeon-Woo and others, "FedPara", 2021)."""

from __future__ import annotations

import torch

from atelier.networks.form import Form, Parts, shaped


def delta(parts: Parts, weight: torch.Tensor, dyn: int | None) -> torch.Tensor:
    first, second = (_factor(parts, side, dyn) for side in "12")
    return shaped(first * second, weight)


def _factor(parts: Parts, side: str, dyn: int | None) -> torch.Tensor:
    a, b, core = parts[f"hada_w{side}_a"], parts[f"hada_w{side}_b"], parts.get(f"hada_t{side}")
    if core is None:
        return a[:, :dyn] @ b[:dyn]
    return tucker(core[:dyn, :dyn], a[:dyn], b[:dyn])


def tucker(core: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """CP form: core [r, r, k, k], a [r, out], b [r, in] -> [out, in, k, k]."""
    return torch.einsum("i j ..., i p, j q -> p q ...", core, a, b)


def product_shape(a: torch.Tensor, b: torch.Tensor, core: torch.Tensor | None) -> tuple[int, ...]:
    """Of a times b, or of the CP form with a core."""
    return (a.shape[0], b.shape[1]) if core is None else (a.shape[1], b.shape[1], *core.shape[2:])


LOHA = Form(
    "LoHa",
    fits=lambda parts: "hada_w1_a" in parts and "hada_w2_a" in parts,
    delta=delta,
    rank=lambda parts: parts["hada_w1_b"].shape[0],
    shape=lambda parts: product_shape(parts["hada_w1_a"], parts["hada_w1_b"], parts.get("hada_t1")),
)
