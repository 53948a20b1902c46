"""LoRA and LoCon: two narrow matrices in a row, for convolutions also with a small kernel between them."""

from __future__ import annotations

import torch

from atelier.networks.form import Form, Parts, flat, shaped

#: what else a layer's entry may hold while its change is still the plain product of two matrices
PLAIN = frozenset({"up", "down", "alpha", "scale"})


def delta(parts: Parts, weight: torch.Tensor, dyn: int | None) -> torch.Tensor:
    """up [out, r] times down [r, in * k * k]; with a kernel between: sum over n, m of mid[n, m] up[i, n] down[m, j]."""
    up, down = flat(parts["up"])[:, :dyn], flat(parts["down"])[:dyn]
    mid = parts.get("mid")
    if mid is None:
        return shaped(up @ down, weight)
    return shaped(torch.einsum("n m ..., i n, m j -> i j ...", mid[:dyn, :dyn], up, down), weight)


def factors(parts: Parts, weight: torch.Tensor, dyn: int | None) -> tuple[torch.Tensor, torch.Tensor] | None:
    """up [out, r] and down [r, rest] whose product is the whole change, or None where it is more than that."""
    if not {"up", "down"} <= parts.keys() <= PLAIN:
        return None
    up, down = flat(parts["up"])[:, :dyn], flat(parts["down"])[:dyn]
    fits = up.shape[0] == weight.shape[0] and up.shape[1] == down.shape[0]
    return (up, down) if fits and up.shape[0] * down.shape[1] == weight.numel() else None


LORA = Form(
    "LoRA",
    fits=lambda parts: "up" in parts and "down" in parts,
    delta=delta,
    rank=lambda parts: parts["down"].shape[0],
    shape=lambda parts: (parts["up"].shape[0], parts["down"].shape[1], *(parts.get("mid", parts["down"]).shape[2:])),
)
