"""DoRA: the changed weight keeps its direction and takes a trained length (Liu and others, 2024)."""

from __future__ import annotations

import torch

from atelier.base.errors import BadModelFile
from atelier.networks.form import REMEDY, Parts


def is_dora(parts: Parts) -> bool:
    return "dora_scale" in parts or "magnitude" in parts


def decomposed(weight: torch.Tensor, delta: torch.Tensor, parts: Parts) -> torch.Tensor:
    """The change from W to length * V / |V| with V = W + delta.

    The length's shape says whose norm is meant: (1, in, ...) that of each input column, (out, 1, ...) that of each
    output row. `magnitude`, as PEFT writes it, is always of rows.
    """
    length = parts.get("dora_scale")
    rows, columns = weight.shape[:2]
    if length is None:
        by_row, length = True, parts["magnitude"]
    else:
        by_row = length.ndim < 2 or length.shape[0] == rows > 1
    if length.numel() != (rows if by_row else columns):
        raise BadModelFile(
            f"its lengths have the shape {list(length.shape)}, the layer {list(weight.shape)}.", remedy=REMEDY
        )
    changed = weight + delta
    over = tuple(d for d in range(weight.ndim) if d != (0 if by_row else 1))
    norm = torch.linalg.vector_norm(changed, dim=over, keepdim=True)
    shape = [1] * weight.ndim
    shape[0 if by_row else 1] = -1
    # A row of zeros has no direction: it stays zero.
    return changed * (length.reshape(shape) / norm.clamp_min(torch.finfo(norm.dtype).tiny)) - weight
