"""Compact: the small networks of Real-ESRGAN (general-x4v3, animevideov3; SRVGG), told from names and shapes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import nn

from atelier.tools.opened import Opened

_BODY = re.compile(r"body\.(\d+)\.(weight|bias)$")


class Compact(nn.Module):
    """Convolutions with an activation between each two, all at the small size; the last gives the large one's pixels
    as channels. What is learned is the difference to the nearest pixels."""

    def __init__(self, channels: int, features: int, convolutions: int, scale: int, prelu: bool) -> None:
        super().__init__()
        self.scale = scale
        layers: list[nn.Module] = [nn.Conv2d(channels, features, 3, padding=1)]
        for index in range(1, convolutions):
            layers.append(nn.PReLU(features) if prelu else nn.LeakyReLU(0.1))
            wide = channels * scale * scale if index == convolutions - 1 else features
            layers.append(nn.Conv2d(features, wide, 3, padding=1))
        self.body = nn.ModuleList(layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # [B, C, h, w] -> [B, C, h * scale, w * scale]
        found = x
        for layer in self.body:
            found = layer(found)
        found = F.pixel_shuffle(found, self.scale)
        return found + F.interpolate(x, scale_factor=self.scale, mode="nearest")


def compact(state: Mapping[str, torch.Tensor]) -> Opened | None:
    """The network of these weights, or None when they are of another kind."""
    if not state or not all(_BODY.match(name) for name in state) or "body.0.weight" not in state:
        return None
    shapes = {int(_BODY.match(n).group(1)): t.shape for n, t in state.items() if n.endswith(".weight")}
    convolutions = [index for index, shape in shapes.items() if len(shape) == 4]
    first, last = state["body.0.weight"], state[f"body.{max(convolutions)}.weight"]
    channels = first.shape[1]
    scale = math.isqrt(last.shape[0] // channels)
    if channels * scale * scale != last.shape[0]:
        return None
    prelu = any(len(shape) == 1 for shape in shapes.values())
    with torch.device("meta"):
        network = Compact(channels, first.shape[0], len(convolutions), scale, prelu)
    return Opened.of(network, state, "Compact", scale=scale, channels=channels)
