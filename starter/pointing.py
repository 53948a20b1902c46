"""The pointing of cross-attention: half of the heads are shown at which of the text's rows to look from where.

The rows behind a sentence know what stands in each cell (see `recall`). Which row belongs to which place is the same
for all pictures, but a UNet finds it out slowly from noise: its positions differ only by what the edges let through.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers import UNet2DConditionModel

from starter.recall import CELLS, FIRST


def _rows_of(positions: int) -> torch.Tensor:  # -> [Q, 77] bool: the rows of the cells that a position covers
    """For 8x8 positions one row each, for 4x4 positions four; for finer grids the row of the cell around."""
    side = round(positions**0.5)
    where = torch.arange(CELLS) * side // CELLS if side <= CELLS else None
    out = torch.zeros(positions, FIRST + CELLS * CELLS, dtype=torch.bool)
    for y in range(CELLS):
        for x in range(CELLS):
            if where is not None:
                out[int(where[y]) * side + int(where[x]), FIRST + y * CELLS + x] = True
    if where is None:
        step = side // CELLS
        for y in range(side):
            for x in range(side):
                out[y * side + x, FIRST + y // step * CELLS + x // step] = True
    return out


class Pointing:
    """Watches the cross-attention of a UNet while it trains."""

    def __init__(self, unet: UNet2DConditionModel) -> None:
        self._seen: list[torch.Tensor] = []
        self._rows: dict[int, torch.Tensor] = {}
        for name, module in unet.named_modules():
            if name.endswith("attn2"):
                module.get_attention_scores = self._watched(module.get_attention_scores)

    def _watched(self, scores: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        def watch(*args: Any, **kwargs: Any) -> torch.Tensor:
            found = scores(*args, **kwargs)
            if torch.is_grad_enabled():
                self._seen.append(found)
            return found

        return watch

    def loss(self, named: torch.Tensor) -> torch.Tensor:  # [B] bool
        """How little the first half of the heads look at their own cells' rows, in rows of the batch with a caption.

        Call it once after each pass; it forgets what it saw.
        """
        losses = []
        for found in self._seen:
            heads = found.shape[0] // len(named)
            share = found.reshape(len(named), heads, *found.shape[1:])[named, : heads // 2]  # [B, h, Q, 77]
            rows = self._rows.setdefault(found.shape[1], _rows_of(found.shape[1]).to(found.device))
            losses.append(-(share.float() * rows).sum(-1).clamp_min(1e-6).log().mean())
        self._seen.clear()
        return torch.stack(losses).mean() if named.any() else torch.zeros((), device=named.device)
