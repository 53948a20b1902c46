"""OFT and BOFT: the outputs of a layer are rotated in blocks (Qiu and others 2023; Liu and others 2023)."""

from __future__ import annotations

import torch

from atelier.base.errors import BadModelFile
from atelier.networks.form import REMEDY, Form, Parts, no_rank, shaped


def rotation(blocks: torch.Tensor, constraint: float) -> torch.Tensor:  # [..., b, b] -> [..., b, b]
    """R = (I + Q)(I - Q)^-1 with the skew Q = B - B'; the norm of Q is held below `constraint`, 0 for no limit."""
    skew = blocks - blocks.transpose(-1, -2)
    norm = skew.norm() + 1e-8
    if constraint > 0 and norm > constraint:
        skew = skew * (constraint / norm)
    eye = torch.eye(blocks.shape[-1], dtype=blocks.dtype, device=blocks.device)
    return torch.linalg.solve(eye - skew, eye + skew, left=False)


def oft_delta(parts: Parts, weight: torch.Tensor, dyn: int | None) -> torch.Tensor:
    """Each block of outputs is multiplied by R', as trainers do, which write R to the right of the outputs.

    Old LyCORIS files hold R itself (`oft_diag`), others the blocks B; alpha is then the constraint in units of outputs.
    """
    given = parts.get("oft_diag")
    turned = rotation(parts["oft_blocks"], _constraint(parts, weight)) if given is None else given
    count, size, _ = turned.shape
    if count * size != weight.shape[0]:
        raise _misfit(count * size, weight)
    rows = weight.reshape(count, size, -1)
    return _rescaled(torch.einsum("k n m, k n p -> k m p", turned, rows).reshape(weight.shape), parts, weight)


def boft_delta(parts: Parts, weight: torch.Tensor, dyn: int | None) -> torch.Tensor:
    """m butterfly stages one after the other; in stage i, rows that are 2^i half blocks apart are turned together."""
    stages = rotation(parts["oft_blocks"], _constraint(parts, weight))  # [m, blocks, b, b]
    _, count, size, _ = stages.shape
    if count * size != weight.shape[0]:
        raise _misfit(count * size, weight)
    out = weight.reshape(weight.shape[0], -1)
    for index, stage in enumerate(stages):
        apart = 2**index * size // 2
        out = out.unflatten(0, (-1, 2, apart)).transpose(1, 2).reshape(count, size, -1)
        out = torch.einsum("b i j, b j p -> b i p", stage, out).reshape(weight.shape[0], -1)
        out = out.unflatten(0, (-1, apart, 2)).transpose(1, 2).reshape(weight.shape[0], -1)
    return _rescaled(out.reshape(weight.shape), parts, weight)


def _rescaled(turned: torch.Tensor, parts: Parts, weight: torch.Tensor) -> torch.Tensor:
    factor = parts.get("rescale")
    if factor is not None:
        turned = turned * factor.reshape(-1, *[1] * (weight.ndim - 1))
    return shaped(turned - weight, weight)


def _constraint(parts: Parts, weight: torch.Tensor) -> float:
    alpha = parts.get("alpha")
    return 0.0 if alpha is None else float(alpha) * weight.shape[0]


def _misfit(rows: int, weight: torch.Tensor) -> BadModelFile:
    return BadModelFile(f"it rotates {rows} outputs, the layer has {weight.shape[0]}.", remedy=REMEDY)


# A strength m takes R to I + m (R - I), which is the same as m times the change: no rank, no other scale.
OFT = Form(
    "OFT",
    fits=lambda parts: "oft_diag" in parts or ("oft_blocks" in parts and parts["oft_blocks"].ndim == 3),
    delta=oft_delta,
    rank=no_rank,
)
BOFT = Form(
    "BOFT",
    fits=lambda parts: "oft_blocks" in parts and parts["oft_blocks"].ndim == 4,
    delta=boft_delta,
    rank=no_rank,
)
