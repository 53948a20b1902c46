"""Text conditions as A1111's callbacks know them: a tensor, or for SDXL a dictionary of two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from modules._host.old_model import told_vector
from modules._host.prompt_shapes import DictWithShape


def shown(model: Any, vectors: torch.Tensor, pooled: torch.Tensor | None, sizes: Sequence[torch.Tensor]) -> Any:
    """`sizes` is what the network is told of the picture, a row for each of `vectors`; empty where that is nothing."""
    if pooled is None or not len(sizes):
        return vectors
    return DictWithShape({"crossattn": vectors, "vector": told_vector(model, pooled, torch.stack(list(sizes)))})


def taken(shown_: Any, pooled: torch.Tensor | None) -> tuple[Any, torch.Tensor | None]:
    """The vectors and the pooled vectors, after a callback may have replaced them. Sizes stay as they are."""
    if pooled is None or not isinstance(shown_, dict):
        return shown_, pooled
    return shown_["crossattn"], shown_["vector"][:, : pooled.shape[1]]
