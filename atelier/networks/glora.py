"""GLoRA: a low-rank change and another one that depends on the weight itself (Chavan and others, 2023)."""

from __future__ import annotations

import torch

from atelier.networks.form import Form, Parts, flat, shaped
from atelier.networks.loha import tucker


def delta(parts: Parts, weight: torch.Tensor, dyn: int | None) -> torch.Tensor:
    """Old files: b2 b1 + (W a2) a1. Newer ones of LyCORIS have both pairs the other way round. Shapes tell which."""
    a1, a2, b1, b2 = (parts[name] for name in ("a1", "a2", "b1", "b2"))
    if not _old(parts, weight):
        a1, a2, b1, b2 = a2, a1, b2, b1
    a1, a2, up = flat(a1), flat(a2), flat(b2)
    core = parts.get("bm")
    own = up @ flat(b1) if core is None else tucker(core, up.T, flat(b1))
    seen = torch.einsum("o i ..., i r, r j -> o j ...", weight, a2, a1)
    return shaped(own, weight) + seen


def _old(parts: Parts, weight: torch.Tensor) -> bool:
    outputs, inputs = weight.shape[:2]
    rank = parts["b1"].shape[0]
    return parts["b2"].shape[:2] == (outputs, rank) and parts["a2"].shape[:2] == (inputs, parts["a1"].shape[0])


GLORA = Form(
    "GLoRA",
    fits=lambda parts: all(name in parts for name in ("a1", "a2", "b1", "b2")),
    delta=delta,
    rank=lambda parts: min(parts["b1"].shape[:2]),
)
