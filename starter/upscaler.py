"""The upscalers' network: residual-in-residual dense blocks under the names of ESRGAN's published files.

Wang et al. 2018 (ESRGAN) and 2021 (Real-ESRGAN, from which the names are). It doubles once for 2x and twice for 4x.
Real-ESRGAN's own 2x folds the picture to half its size first; that is not done here, because repetition and
convolution cannot give the folded pixels back, and so no such network can begin as a good interpolation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

FEATURES, BLOCKS = 32, 1
GROWTH = 12
WRITTEN_GROWTH = 32
"""Other programs read ESRGAN's files with this number only: what is missing is written as zeros."""
SHARPEN = MappingProxyType({2: -3 / 32, 4: -5 / 32})
"""Side taps of the filter before doubling; the middle is 1 - 2 * side. At 2x that is exactly bicubic (a = -0.5)."""


def _leaky(x: torch.Tensor) -> torch.Tensor:
    return F.leaky_relu(x, 0.2)


class DenseBlock(nn.Module):
    """Five convolutions, each of which sees all that went before."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        for i in range(4):
            setattr(self, f"conv{i + 1}", nn.Conv2d(features + i * growth, growth, 3, padding=1))
        self.conv5 = nn.Conv2d(features + 4 * growth, features, 3, padding=1)
        for convolution in self.children():
            nn.init.kaiming_normal_(convolution.weight, 0.2)
            nn.init.zeros_(convolution.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # [B, C, h, w] -> [B, C, h, w]
        seen = [x]
        for i in range(4):
            seen.append(_leaky(getattr(self, f"conv{i + 1}")(torch.cat(seen, 1))))
        return self.conv5(torch.cat(seen, 1)) * 0.2 + x


class TripleBlock(nn.Module):
    """Three dense blocks beside the way straight on."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = (DenseBlock(features, growth) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.rdb3(self.rdb2(self.rdb1(x))) * 0.2 + x


class Upscaler(nn.Module):
    """Pictures [B, 3, h, w] in 0..1 to [B, 3, scale*h, scale*w]."""

    def __init__(self, scale: int, features: int = FEATURES, blocks: int = BLOCKS, growth: int = GROWTH) -> None:
        super().__init__()
        if scale not in SHARPEN:
            raise ValueError(f"scale {scale}: only 2 and 4 are made")
        self.scale = scale
        self.conv_first = nn.Conv2d(3, features, 3, padding=1)
        self.body = nn.Sequential(*(TripleBlock(features, growth) for _ in range(blocks)))
        self.ups = tuple(f"conv_up{i + 1}" for i in range(scale.bit_length() - 1))
        for name in ("conv_body", *self.ups, "conv_hr"):
            setattr(self, name, nn.Conv2d(features, features, 3, padding=1))
        self.conv_last = nn.Conv2d(features, 3, 3, padding=1)
        self._begin_as_interpolation()

    @torch.no_grad()
    def _begin_as_interpolation(self) -> None:
        """Features 0 to 5 carry the colours and their negatives, so that training begins at a bicubic picture.

        A sharpening filter, then each doubling by repetition and [1, 2, 1] / 4, which is linear interpolation.
        A leaky unit keeps a value of the pair v, -v whole: leaky(v) - leaky(-v) = 1.2 v. The colours lie about 0.
        """
        ups = [getattr(self, name) for name in self.ups]
        for convolution in (self.conv_first, self.conv_body, *ups, self.conv_hr, self.conv_last):
            nn.init.kaiming_normal_(convolution.weight, 0.2)
            nn.init.zeros_(convolution.bias)
        side, spread = SHARPEN[self.scale], torch.tensor([0.25, 0.5, 0.25])
        sharp = torch.tensor([side, 1 - 2 * side, side])
        point = torch.tensor([0.0, 1.0, 0.0])
        pair, joined = torch.tensor([1.0, -1.0]), torch.tensor([1.0, -1.0]) / 1.2
        self.conv_body.weight[:6] = 0
        _carry(self.conv_first, pair[:, None], sharp)
        self.conv_first.bias[:6] = pair.repeat_interleave(3) * -0.5
        _carry(ups[0], torch.outer(pair, pair / 2), spread)
        for convolution in ups[1:]:
            _carry(convolution, torch.outer(pair, joined), spread)
        _carry(self.conv_hr, torch.outer(pair, joined), point)
        _carry(self.conv_last, joined[None], point)
        self.conv_last.bias.fill_(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.conv_first(x)
        x = first + self.conv_body(self.body(first))
        for name in self.ups:
            x = _leaky(getattr(self, name)(F.interpolate(x, scale_factor=2)))
        return self.conv_last(_leaky(self.conv_hr(x)))

    @torch.no_grad()
    def enlarge(self, pictures: np.ndarray) -> np.ndarray:  # [B, H, W, 3] uint8 -> [B, sH, sW, 3] uint8
        values = torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float() / 255
        made = self(values.contiguous(memory_format=torch.channels_last))
        return made.clamp(0, 1).mul(255).round().byte().permute(0, 2, 3, 1).numpy()


def _carry(convolution: nn.Conv2d, mix: torch.Tensor, taps: torch.Tensor) -> None:
    """Colours pass by `taps` down and across; `mix` [m, n] joins their n signs before to their m signs after.

    Nothing else reaches the colours, and what the other features take from them stays as it was drawn.
    """
    convolution.weight[: 3 * mix.shape[0]] = 0
    kernel = torch.outer(taps, taps)
    for (after, before), weight in np.ndenumerate(mix.numpy()):
        for colour in range(3):
            convolution.weight[3 * after + colour, 3 * before + colour] = float(weight) * kernel


def save(path: Path, network: Upscaler, parameters: Sequence[torch.Tensor] = ()) -> int:
    """Writes fp16, the network's own parameters or these in their places; returns the size in bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = [name for name, _ in network.named_parameters()]
    held = network.state_dict() | dict(zip(names, parameters))
    values = {key: value.half().contiguous() for key, value in _grown(held, WRITTEN_GROWTH).items()}
    save_file(values, path, metadata={"format": "pt", "growth": str(_growth(held))})
    return path.stat().st_size


def _growth(state: Mapping[str, torch.Tensor]) -> int:
    return state["body.0.rdb1.conv1.weight"].shape[0]


def _grown(state: Mapping[str, torch.Tensor], growth: int) -> dict[str, torch.Tensor]:
    """The dense blocks at another growth: channels of zeros are added, or the last, which must be zeros, left out."""
    before, features = _growth(state), state["conv_first.weight"].shape[0]
    kept = min(before, growth)
    made = dict(state)
    for key in (key for key in state if ".rdb" in key):
        index = int(key.split(".conv")[1][0])
        own = features if index == 5 else growth
        out = slice(features if index == 5 else kept)
        value = state[key]
        if key.endswith("bias"):
            made[key] = value.new_zeros(own)
            made[key][out] = value[out]
            continue
        made[key] = value.new_zeros(own, features + (index - 1) * growth, 3, 3)
        made[key][out, :features] = value[out, :features]
        for i in range(index - 1):
            here, there = features + i * growth, features + i * before
            made[key][out, here : here + kept] = value[out, there : there + kept]
    return made


def load(path: Path) -> Upscaler:
    """The sizes are read from the file; channels that were written as zeros are left out again."""
    with safe_open(path, "pt") as opened:
        growth = int((opened.metadata() or {}).get("growth", WRITTEN_GROWTH))
        file = _grown({key: opened.get_tensor(key).float() for key in opened.keys()}, growth)
    ups = sum(key.startswith("conv_up") and key.endswith("weight") for key in file)
    blocks = 1 + max(int(key.split(".")[1]) for key in file if key.startswith("body."))
    network = Upscaler(2**ups, file["conv_first.weight"].shape[0], blocks, growth)
    network.load_state_dict(file)
    return network.eval().to(memory_format=torch.channels_last)
