"""RRDB: the network of ESRGAN, BSRGAN and Real-ESRGAN (Wang and others, 2018 and 2021), told from names and shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import nn

from atelier.tools.opened import Opened

SLOPE = 0.2
RESIDUAL = 0.2
#: (name in a file, our name); those of ESRGAN's first release, then BSRGAN's; Real-ESRGAN's are ours
_OLD = (
    (r"^model\.0\.", "conv_first."),
    (r"^model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\.", r"body.\1.rdb\2.conv\3."),
    (r"^model\.1\.sub\.\d+\.(weight|bias)$", r"conv_body.\1"),
    (r"^RRDB_trunk\.(\d+)\.RDB(\d)\.conv(\d)\.", r"body.\1.rdb\2.conv\3."),
    (r"^trunk_conv\.", "conv_body."),
    (r"^upconv(\d)\.", r"conv_up\1."),
    (r"^HRconv\.", "conv_hr."),
)


class DenseBlock(nn.Module):
    """Five convolutions, each of which sees what all before it gave."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        for index in range(1, 5):
            setattr(self, f"conv{index}", nn.Conv2d(features + (index - 1) * growth, growth, 3, padding=1))
        self.conv5 = nn.Conv2d(features + 4 * growth, features, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # [B, features, h, w]
        seen = x
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            seen = torch.cat([seen, F.leaky_relu(conv(seen), SLOPE)], dim=1)
        return x + RESIDUAL * self.conv5(seen)


class Block(nn.Module):
    """Residual in residual: three dense blocks with a way around them."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = (DenseBlock(features, growth) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + RESIDUAL * self.rdb3(self.rdb2(self.rdb1(x)))


class RRDBNet(nn.Module):
    """`ups` doublings after the blocks; `fold` pixels a side become channels before them (Real-ESRGAN x2 and x1)."""

    def __init__(self, channels: int, features: int, growth: int, blocks: int, ups: int, fold: int) -> None:
        super().__init__()
        self.fold = fold
        self.conv_first = nn.Conv2d(channels * fold * fold, features, 3, padding=1)
        self.body = nn.Sequential(*(Block(features, growth) for _ in range(blocks)))
        self.conv_body = nn.Conv2d(features, features, 3, padding=1)
        self.ups = [f"conv_up{index + 1}" for index in range(ups)]
        for name in self.ups:
            setattr(self, name, nn.Conv2d(features, features, 3, padding=1))
        self.conv_hr = nn.Conv2d(features, features, 3, padding=1)
        self.conv_last = nn.Conv2d(features, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # [B, C, h, w] -> [B, C, h * scale, w * scale]
        x = F.pixel_unshuffle(x, self.fold) if self.fold > 1 else x
        first = self.conv_first(x)
        x = first + self.conv_body(self.body(first))
        for name in self.ups:
            x = F.leaky_relu(getattr(self, name)(F.interpolate(x, scale_factor=2, mode="nearest")), SLOPE)
        return self.conv_last(F.leaky_relu(self.conv_hr(x), SLOPE))


def rrdb(state: Mapping[str, torch.Tensor]) -> Opened | None:
    """The network of these weights, or None when they are of another kind."""
    found = renamed(state)
    needed = ("conv_first.weight", "body.0.rdb1.conv1.weight", "conv_body.weight", "conv_hr.weight", "conv_last.weight")
    if any(name not in found for name in needed) or any(".conv1x1." in name for name in found):
        return None
    first, last = found["conv_first.weight"], found["conv_last.weight"]
    channels = last.shape[0]
    fold = {1: 1, 4: 2, 16: 4}.get(first.shape[1] // channels, 0)
    if fold == 0 or first.shape[1] % channels:
        return None
    blocks = 1 + max(int(name.split(".")[1]) for name in found if name.startswith("body."))
    ups = sum(name.startswith("conv_up") and name.endswith(".weight") for name in found)
    growth = found["body.0.rdb1.conv1.weight"].shape[0]
    with torch.device("meta"):
        network = RRDBNet(channels, first.shape[0], growth, blocks, ups, fold)
    return Opened.of(network, found, "ESRGAN", scale=2**ups // fold, channels=channels, multiple=fold)


def renamed(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights under Real-ESRGAN's names."""
    numbered = [int(m.group(1)) for m in (re.match(r"model\.(\d+)\.weight$", name) for name in state) if m]
    tail = sorted(n for n in numbered if n > 0)
    names: dict[str, str] = {}
    if len(tail) >= 2:
        # After the trunk: one convolution for each doubling, then two more.
        *ups, high, last = tail
        names = {f"model.{n}.": f"conv_up{i + 1}." for i, n in enumerate(ups)}
        names |= {f"model.{high}.": "conv_hr.", f"model.{last}.": "conv_last."}
    found = {}
    for name, tensor in state.items():
        start = next((old for old in names if name.startswith(old)), None)
        if start is not None:
            name = names[start] + name[len(start) :]
        else:
            for pattern, new in _OLD:
                name, count = re.subn(pattern, new, name)
                if count:
                    break
        found[name] = tensor
    return found
