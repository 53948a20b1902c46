"""PEFT's own forms: rotations of a layer's inputs in blocks (OFT, BOFT), and factors for rows or columns (IA3)."""

from __future__ import annotations

import math

import torch

from atelier.base.errors import BadModelFile
from atelier.networks.form import REMEDY, Form, Parts, no_rank, shaped

#: which of its two formulas PEFT was told to use; they turn in opposite directions, and files do not say which
EXACT = "exact"


def rotations(skew: torch.Tensor) -> torch.Tensor:  # [..., b, b] -> [..., b, b]
    """(I - S)(I + S)^-1."""
    eye = torch.eye(skew.shape[-1], dtype=skew.dtype, device=skew.device)
    return torch.linalg.solve(eye + skew, eye - skew, left=False)


def neumann(skew: torch.Tensor) -> torch.Tensor:  # [k, b, b] -> [k, b, b]
    """The series of (I + S)(I - S)^-1 to the fourth power, which PEFT takes unless it is told otherwise."""
    eye = torch.eye(skew.shape[-1], dtype=skew.dtype, device=skew.device)
    second = skew @ skew
    return eye + 2 * (skew + second + second @ skew) + second @ second


def oft_delta(parts: Parts, weight: torch.Tensor, dyn: int | None) -> torch.Tensor:
    """Since version 0.16 the upper triangle of S is stored (`oft_R`); before, a square of which half the skew part
    counts (`oft_r`), with lengths (`oft_s`) where inputs are turned, without them where outputs are."""
    if "oft_R" in parts:
        turned = _from_triangles(parts["oft_R"], EXACT in parts and bool(parts[EXACT]))
    else:
        turned = rotations((parts["oft_r"] - parts["oft_r"].transpose(-1, -2)) / 2)
    rows = weight.flatten(1)
    if "oft_R" not in parts and "oft_s" not in parts:
        return shaped(_turned(rows.T, turned.transpose(-1, -2)).T - rows, weight)
    return _lengthened(_turned(rows, turned), parts.get("oft_s"), weight)


def _from_triangles(rows: torch.Tensor, exact: bool) -> torch.Tensor:  # [k, b (b - 1) / 2] -> [k, b, b]
    size = (1 + math.isqrt(1 + 8 * rows.shape[1])) // 2
    if size * (size - 1) // 2 != rows.shape[1]:
        raise BadModelFile(f"{rows.shape[1]} numbers are no triangle of a matrix.", remedy=REMEDY)
    above, right = torch.triu_indices(size, size, 1)
    skew = rows.new_zeros(rows.shape[0], size, size)
    skew[:, above, right] = rows
    skew = skew - skew.transpose(-1, -2)
    return rotations(skew) if exact else neumann(skew)


def _turned(rows: torch.Tensor, blocks: torch.Tensor) -> torch.Tensor:  # [o, k * b], [k or 1, b, b] -> [o, k * b]
    """Every block of every row is multiplied by its matrix; one matrix serves all blocks."""
    count, size, _ = blocks.shape
    if rows.shape[1] % size or count not in (1, rows.shape[1] // size):
        raise BadModelFile(f"it rotates {count * size} numbers, the layer has {rows.shape[1]}.", remedy=REMEDY)
    blocks = blocks.expand(rows.shape[1] // size, -1, -1)
    return torch.einsum("o k n, k m n -> o k m", rows.unflatten(1, (-1, size)), blocks).flatten(1)


def _lengthened(rows: torch.Tensor, lengths: torch.Tensor | None, weight: torch.Tensor) -> torch.Tensor:
    if lengths is not None:
        if lengths.numel() != rows.shape[0]:
            raise BadModelFile(f"it has {lengths.numel()} lengths, the layer {rows.shape[0]} rows.", remedy=REMEDY)
        rows = rows * lengths.reshape(-1, 1)
    return shaped(rows - weight.flatten(1), weight)


def boft_delta(parts: Parts, weight: torch.Tensor, dyn: int | None) -> torch.Tensor:
    """Butterfly stages of rotated inputs. Before stage i the blocks' halves are sorted apart, after it back again."""
    square = parts["boft_R"]  # [stages, k, b, b]
    stages = rotations((square - square.transpose(-1, -2)) / 2)
    rows = weight.flatten(1)
    for index, blocks in enumerate(stages):
        if len(stages) == 1:
            rows = _turned(rows, blocks)
            continue
        order = _butterfly(rows.shape[1], blocks.shape[0] >> index, blocks.shape[-1] // 2).to(rows.device)
        sorted_rows = torch.empty_like(rows)
        sorted_rows[:, order] = rows
        rows = _turned(sorted_rows, blocks)[:, order]
    return _lengthened(rows, parts.get("boft_s"), weight)


def _butterfly(columns: int, groups: int, half: int) -> torch.Tensor:  # [columns]
    """In each group the even halves first, then the odd ones."""
    places = torch.arange(columns)
    if groups < 1 or columns % (groups * half):
        raise BadModelFile(f"its butterfly does not fit {columns} numbers.", remedy=REMEDY)
    halves = places.reshape(groups, -1, half)
    return torch.cat([halves[:, 0::2], halves[:, 1::2]], dim=1).reshape(-1)


def ia3_delta(parts: Parts, weight: torch.Tensor, dyn: int | None) -> torch.Tensor:
    """W times l. Of a linear layer l stands upright for rows and lies flat for columns; of a convolution it always
    lies, and rows are meant where its length fits both."""
    factor = parts["ia3_l"]
    outputs, inputs = weight.shape[:2]
    by_row = factor.shape[0] == outputs > 1 if factor.ndim == 2 else factor.numel() == outputs
    if factor.numel() != (outputs if by_row else inputs):
        raise BadModelFile(f"its {factor.numel()} factors do not fit a layer of {list(weight.shape)}.", remedy=REMEDY)
    shape = [1] * weight.ndim
    shape[0 if by_row else 1] = -1
    return weight * (factor.reshape(shape) - 1)


PEFT_OFT = Form("OFT of PEFT", fits=lambda parts: "oft_R" in parts or "oft_r" in parts, delta=oft_delta, rank=no_rank)
PEFT_BOFT = Form("BOFT of PEFT", fits=lambda parts: "boft_R" in parts, delta=boft_delta, rank=no_rank)
PEFT_IA3 = Form("IA3 of PEFT", fits=lambda parts: "ia3_l" in parts, delta=ia3_delta, rank=no_rank)
