"""The growth of a UNet by one outermost level or by input channels: everything that it knows is kept."""

from __future__ import annotations

import re

import torch

from starter.models import UNetShape, build_unet

_HALVING = 0.25
"""Weight of each of four neighbours: the new level hands the old network the mean of 2x2 latents."""


def grown_shape(shape: UNetShape) -> UNetShape:
    return UNetShape((shape.outer(), *shape.widths), (False, *shape.attention), shape.channels, shape.size * 2)


def _moved(key: str) -> str:
    return re.sub(r"^down_blocks\.(\d+)\.", lambda m: f"down_blocks.{int(m[1]) + 1}.", key)


@torch.no_grad()
def _identity(weight: torch.Tensor, taps: tuple[tuple[int, int], ...], value: float) -> None:
    """weight [O, I, k, k]: channel i passes to channel i at `taps`; a little of the random start stays."""
    weight.mul_(0.1)
    for channel in range(min(weight.shape[:2])):
        for y, x in taps:
            weight[channel, channel, y, x] += value


@torch.no_grad()
def grow(state: dict[str, torch.Tensor], shape: UNetShape) -> tuple[dict[str, torch.Tensor], UNetShape]:
    """State and shape of the larger UNet.

    Old levels keep their values; the new one begins as 2x2 mean, identity and repetition.
    """
    new_shape = grown_shape(shape)
    unet = build_unet(new_shape)
    values = unet.state_dict()
    for key, value in state.items():
        values[_moved(key)] = value
    last = len(shape.widths)
    for name in (
        "down_blocks.0.resnets.0.conv2.weight",
        *(f"up_blocks.{last}.resnets.{i}.conv2.weight" for i in (0, 1)),
    ):
        values[name].mul_(0.1)
    _identity(values["down_blocks.0.downsamplers.0.conv.weight"], ((1, 1), (1, 2), (2, 1), (2, 2)), _HALVING)
    _identity(values[f"up_blocks.{last - 1}.upsamplers.0.conv.weight"], ((1, 1),), 1.0)
    for i in (0, 1):
        _identity(values[f"up_blocks.{last}.resnets.{i}.conv_shortcut.weight"], ((0, 0),), 1.0)
    unet.load_state_dict(values)
    return {key: value.clone() for key, value in unet.state_dict().items()}, new_shape


def widened(state: dict[str, torch.Tensor], channels: int) -> dict[str, torch.Tensor]:
    """The same UNet with further input channels that it does not look at yet."""
    first = state["conv_in.weight"]  # [O, I, 3, 3]
    more = first.new_zeros(first.shape[0], channels - first.shape[1], *first.shape[2:])
    return {**state, "conv_in.weight": torch.cat([first, more], 1)}
