"""The upscalers' network: residual-in-residual dense blocks under the names of ESRGAN's published files.

Wang et al. 2018 (ESRGAN) and 2021 (Real-ESRGAN, from which the names are). With `scale` 2 the picture is first folded
to half its size and four times its channels, so that both scales work at the same inner size.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

FEATURES, BLOCKS, GROWTH = 32, 3, 16


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
            nn.init.kaiming_normal_(convolution.weight)
            convolution.weight.data.mul_(0.1)
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
        if scale not in (2, 4):
            raise ValueError(f"scale {scale}: only 2 and 4 are made")
        self.fold = 4 // scale
        self.conv_first = nn.Conv2d(3 * self.fold**2, features, 3, padding=1)
        self.body = nn.Sequential(*(TripleBlock(features, growth) for _ in range(blocks)))
        for name in ("conv_body", "conv_up1", "conv_up2", "conv_hr"):
            setattr(self, name, nn.Conv2d(features, features, 3, padding=1))
        self.conv_last = nn.Conv2d(features, 3, 3, padding=1)
        self._begin_as_enlargement()

    @torch.no_grad()
    def _begin_as_enlargement(self) -> None:
        """Three features carry the colours straight through, so that training begins at plain enlargement."""
        straight = (self.conv_first, self.conv_up1, self.conv_up2, self.conv_hr, self.conv_last)
        for convolution in (*straight, self.conv_body):
            convolution.weight.mul_(0.1)
            convolution.bias.zero_()
        for convolution in straight:
            per_colour = self.fold**2 if convolution is self.conv_first else 1
            for colour in range(3):
                places = slice(colour * per_colour, (colour + 1) * per_colour)
                convolution.weight[colour, places, 1, 1] += 1 / per_colour

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.conv_first(F.pixel_unshuffle(x, self.fold) if self.fold > 1 else x)
        x = first + self.conv_body(self.body(first))
        for convolution in (self.conv_up1, self.conv_up2):
            x = _leaky(convolution(F.interpolate(x, scale_factor=2)))
        return self.conv_last(_leaky(self.conv_hr(x)))

    @torch.no_grad()
    def enlarge(self, pictures: np.ndarray) -> np.ndarray:  # [B, H, W, 3] uint8 -> [B, sH, sW, 3] uint8
        values = torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float() / 255
        with torch.autocast("cpu", torch.bfloat16):
            made = self(values.contiguous(memory_format=torch.channels_last))
        return made.float().clamp(0, 1).mul(255).round().byte().permute(0, 2, 3, 1).numpy()


def save(path: Path, network: Upscaler) -> int:
    """Writes fp16; returns the size in bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = {key: value.half().contiguous() for key, value in network.state_dict().items()}
    save_file(values, path, metadata={"format": "pt"})
    return path.stat().st_size


def load(path: Path) -> Upscaler:
    """The sizes are read from the file."""
    file = {key: value.float() for key, value in load_file(path).items()}
    features, channels = file["conv_first.weight"].shape[:2]
    blocks = 1 + max(int(key.split(".")[1]) for key in file if key.startswith("body."))
    network = Upscaler(4 if channels == 3 else 2, features, blocks, file["body.0.rdb1.conv1.weight"].shape[0])
    network.load_state_dict(file)
    return network.eval().to(memory_format=torch.channels_last)
