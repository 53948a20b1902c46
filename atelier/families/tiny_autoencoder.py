"""TinyAutoencoder: the small decoder or encoder of TAESD's layout (Ollin Boer Bohan, MIT), made from its tensors.

A file holds a chain of numbered layers: convolutions, blocks of three convolutions with a bypass, and between them
what has no weights: a clamp before a decoder's first layer, a ReLU after it, and an enlargement in every other gap. A
convolution of an encoder that has no bias halves the sides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import nn

_DIFFUSERS = re.compile(r"(decoder|encoder)\.layers\.(\d+)\.(.+)")


class Clamp(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x / 3) * 3


class Enlarge(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.interpolate(x, scale_factor=2, mode="nearest")


class Block(nn.Module):
    def __init__(self, conv: nn.Sequential, skip: nn.Module) -> None:
        super().__init__()
        self.conv = conv
        self.skip = skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.conv(x) + self.skip(x))


def plain_names(tensors: Mapping[str, torch.Tensor], side: str) -> dict[str, torch.Tensor]:
    """The tensors of one side, `decoder` or `encoder`, under the original numbers. Files of diffusers hold both."""
    found = {}
    for name, tensor in tensors.items():
        match = _DIFFUSERS.fullmatch(name)
        if match is None:
            found[name.removeprefix(f"{side}.")] = tensor
        elif match.group(1) == side:
            # There the decoder's clamp is no layer.
            found[f"{int(match.group(2)) + (side == 'decoder')}.{match.group(3)}"] = tensor
    return found


def build_tiny(tensors: Mapping[str, torch.Tensor], side: str) -> nn.Sequential:
    """Decoder: scaled latents -> pixels in 0..1. Encoder: pixels in 0..1 -> scaled latents. Raises `ValueError`."""
    state = plain_names(tensors, side)
    numbers = {int(name.split(".")[0]) for name in state if name.split(".")[0].isdigit()}
    if not numbers:
        raise ValueError("it has no numbered layers")
    decoder, first = side == "decoder", min(numbers)
    layers: list[nn.Module] = []
    for number in range(max(numbers) + 1):
        if f"{number}.conv.0.weight" in state:
            layers.append(_block(state, number))
        elif f"{number}.weight" in state:
            layers.append(_conv(state, f"{number}", halve=not decoder and f"{number}.bias" not in state))
        elif number < first:
            layers.append(Clamp())
        else:
            layers.append(nn.ReLU() if number == first + 1 else Enlarge())
    network = nn.Sequential(*layers)
    try:
        network.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    except RuntimeError as error:
        raise ValueError(str(error).splitlines()[0]) from error
    return network.eval().requires_grad_(False)


def _conv(state: Mapping[str, torch.Tensor], name: str, halve: bool = False) -> nn.Conv2d:
    weight = state[f"{name}.weight"]
    if weight.ndim != 4:
        raise ValueError(f"{name}.weight is no convolution")
    out, inside, size, _ = weight.shape
    return nn.Conv2d(inside, out, size, stride=2 if halve else 1, padding=size // 2, bias=f"{name}.bias" in state)


def _block(state: Mapping[str, torch.Tensor], number: int) -> Block:
    convs = [_conv(state, f"{number}.conv.{place}") for place in (0, 2, 4)]
    conv = nn.Sequential(convs[0], nn.ReLU(), convs[1], nn.ReLU(), convs[2])
    skip = _conv(state, f"{number}.skip") if f"{number}.skip.weight" in state else nn.Identity()
    return Block(conv, skip)
