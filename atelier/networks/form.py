"""Form: one way in which a file describes how a layer's weight changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from atelier.base.errors import BadModelFile

#: the tensors of one layer of a file, under the names that `keys.split_key` gives them
Parts = Mapping[str, torch.Tensor]

REMEDY = "It was trained for another model, or the file is damaged."


@dataclass(frozen=True)
class Form:
    """`delta(parts, weight, dyn)` is the change before any scale, in the shape of `weight`, both float32.

    `rank` is what `alpha` is divided by, None where a file's alpha does not scale. `dyn` keeps only so many ranks.
    `shape` is that of the change as the file has it, a convolution's maybe flattened to [out, in * k * k]; forms whose
    change depends on the weight have none.
    """

    name: str
    fits: Callable[[Parts], bool]
    delta: Callable[[Parts, torch.Tensor, int | None], torch.Tensor]
    rank: Callable[[Parts], int | None]
    shape: Callable[[Parts], tuple[int, ...]] | None = None


def flat(tensor: torch.Tensor) -> torch.Tensor:  # [n, ...] -> [n, rest]
    return tensor.reshape(tensor.shape[0], -1)


def shaped(delta: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The change in the shape of the weight. Raises `BadModelFile` where it is for a layer of another size."""
    if delta.numel() != weight.numel() or delta.shape[0] != weight.shape[0]:
        found, wanted = list(delta.shape), list(weight.shape)
        raise BadModelFile(f"its change has the shape {found}, the layer {wanted}.", remedy=REMEDY)
    return delta.reshape(weight.shape)


def no_rank(parts: Parts) -> int | None:
    """For forms whose alpha does not scale."""
    return None
