"""Hooks on the self-attention of a UNet, each a context that undoes itself: disturbed, or watched."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from diffusers.models.attention import BasicTransformerBlock
from torch import nn

from atelier.base.errors import BadRequest
from atelier.networks.patch import Patch
from atelier.sampling.guides.blur import blurred

#: a blur of this sigma or more is the mean of all queries
INFINITE = 9999.0


def self_attentions(unet: nn.Module, layers: str, field: str) -> list[nn.Module]:
    """The self-attention layers of blocks named "mid", "down.1", "up.0", with commas between.

    Raises `BadRequest` on `field` where a name is unknown or has no attention.
    """
    found: list[nn.Module] = []
    names = [name.strip() for name in layers.split(",") if name.strip()]
    for name in names:
        block = _block(unet, name)
        own = [m.attn1 for m in block.modules() if isinstance(m, BasicTransformerBlock)] if block is not None else []
        if not own:
            raise BadRequest(field, f"{name!r} names no block of this model that attends.", remedy=_known(unet))
        found += own
    if not found:
        raise BadRequest(field, "no block is named.", remedy=_known(unet))
    return found


def _block(unet: nn.Module, name: str) -> nn.Module | None:
    if name == "mid":
        return getattr(unet, "mid_block", None)
    kind, _, number = name.partition(".")
    blocks = getattr(unet, f"{kind}_blocks", None) if kind in ("down", "up") else None
    return blocks[int(number)] if blocks is not None and number.isdecimal() and int(number) < len(blocks) else None


def _known(unet: nn.Module) -> str:
    numbered = [f"{kind}.{i}" for kind in ("down", "up") for i in range(len(getattr(unet, f"{kind}_blocks", ())))]
    attend = [name for name in ("mid", *numbered) if _attends(_block(unet, name))]
    return f"One or more of: {', '.join(attend)}." if attend else "This model has no such blocks."


def _attends(block: nn.Module | None) -> bool:
    return block is not None and any(isinstance(m, BasicTransformerBlock) for m in block.modules())


def grid_of(tokens: int, height: int, width: int) -> tuple[int, int] | None:
    """Height and width of a map of this many tokens for latents of that size, or None: it is no halving of them."""
    while height * width > tokens:
        height, width = math.ceil(height / 2), math.ceil(width / 2)
    return (height, width) if height * width == tokens else None


@contextmanager
def identity_attention(attentions: Sequence[nn.Module]) -> Iterator[None]:
    """Every place attends to itself alone: the layers give what they would make of their own values.

    Their usual result is thrown away, which costs little where this is used and holds with every kernel.
    """

    def values_alone(attn: nn.Module, inputs: Any, given: dict[str, Any], output: torch.Tensor) -> torch.Tensor:
        hidden = inputs[0] if inputs else given["hidden_states"]
        return attn.to_out[1](attn.to_out[0](attn.to_v(hidden)))

    with Patch() as patch:
        for attn in attentions:
            # Before all other hooks, which may bring back tokens that were merged.
            patch.hook(attn.register_forward_hook(values_alone, with_kwargs=True, prepend=True))
        yield


@contextmanager
def blurred_queries(attentions: Sequence[nn.Module], sigma: float, height: int, width: int) -> Iterator[None]:
    """Queries are blurred over their map by a Gaussian; from `INFINITE` on all are their mean."""

    def blur(layer: nn.Module, inputs: Any, queries: torch.Tensor) -> torch.Tensor:  # [N, T, C]
        if sigma >= INFINITE:
            return queries.mean(dim=1, keepdim=True).expand_as(queries)
        size = grid_of(queries.shape[1], height, width)
        if size is None or sigma <= 0:
            return queries
        points = math.ceil(6 * sigma) // 2 * 2 + 1
        maps = queries.transpose(1, 2).unflatten(2, size)
        return blurred(maps, sigma, points).flatten(2).transpose(1, 2)

    with Patch() as patch:
        for attn in attentions:
            patch.hook(attn.to_q.register_forward_hook(blur))
        yield


@contextmanager
def watched_attention(attn: nn.Module, height: int, width: int) -> Iterator[list[torch.Tensor]]:
    """The list gets, for each call, how much attention every place of the map receives, [N, h, w]; mean 1."""
    seen: list[torch.Tensor] = []

    def watch(attn: nn.Module, inputs: Any, given: dict[str, Any], output: torch.Tensor) -> None:
        hidden = inputs[0] if inputs else given["hidden_states"]
        q, k = (layer(hidden).unflatten(-1, (attn.heads, -1)).transpose(1, 2) for layer in (attn.to_q, attn.to_k))
        total: torch.Tensor | float = 0.0
        # One head after the other: all of them at once would be as large as attention without a fused kernel.
        for head in range(attn.heads):
            scores = q[:, head].float() @ k[:, head].float().transpose(1, 2) * attn.scale
            total = total + scores.softmax(dim=-1).sum(dim=1)
        size = grid_of(hidden.shape[1], height, width) or (1, hidden.shape[1])
        seen.append((total / attn.heads).unflatten(1, size))

    with Patch() as patch:
        patch.hook(attn.register_forward_hook(watch, with_kwargs=True))
        yield seen
