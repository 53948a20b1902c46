"""The small stand-ins for the autoencoder: a 4x3 matrix and a pair of networks in TAESD's layout.

TAESD is Ollin Boer Bohan's tiny autoencoder; its layers are numbered here as in its published files, so that every
program that reads those reads these. They are narrower: the autoencoder that they stand for is small itself.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

WIDTH = 24
_LEVELS = 3


class Residual(nn.Module):
    """Three convolutions beside the way straight on."""

    def __init__(self, width: int) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        for _ in range(3):
            parts += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
        self.conv = nn.Sequential(*parts[:-1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # [B, C, h, w] -> [B, C, h, w]
        return torch.relu(self.conv(x) + x)


class Squash(nn.Module):
    """Keeps latents within -3..3."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x / 3) * 3


class TinyDecoder(nn.Sequential):
    """Scaled latents [B, 4, h, w] to pictures [B, 3, 8h, 8w] in 0..1."""

    def __init__(self, width: int = WIDTH) -> None:
        parts: list[nn.Module] = [Squash(), nn.Conv2d(4, width, 3, padding=1), nn.ReLU()]
        for _ in range(_LEVELS):
            parts += [*(Residual(width) for _ in range(3)), nn.Upsample(scale_factor=2)]
            parts.append(nn.Conv2d(width, width, 3, padding=1, bias=False))
        super().__init__(*parts, Residual(width), nn.Conv2d(width, 3, 3, padding=1))


class TinyEncoder(nn.Sequential):
    """Pictures [B, 3, H, W] in 0..1 to scaled latents [B, 4, H/8, W/8]."""

    def __init__(self, width: int = WIDTH) -> None:
        parts: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1), Residual(width)]
        for _ in range(_LEVELS):
            parts.append(nn.Conv2d(width, width, 3, stride=2, padding=1, bias=False))
            parts += [Residual(width) for _ in range(3)]
        super().__init__(*parts, nn.Conv2d(width, 4, 3, padding=1))


def fit_matrix(
    latents: torch.Tensor, pictures: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:  # [B, 4, h, w], [B, 3, 8h, 8w] in -1..1 -> [3, 4], [3]
    """Least squares from a latent cell to the mean colour of its 8x8 pixels."""
    cells = latents.permute(0, 2, 3, 1).reshape(-1, 4).double()
    colours = nn.functional.avg_pool2d(pictures, 8).permute(0, 2, 3, 1).reshape(-1, 3).double()
    padded = torch.cat([cells, torch.ones(len(cells), 1, dtype=torch.double)], 1)
    solved = torch.linalg.lstsq(padded, colours).solution.float()  # [5, 3]
    return solved[:4].T.contiguous(), solved[4].contiguous()


def apply_matrix(latents: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Pictures [B, 3, h, w] in -1..1, one pixel a cell."""
    return torch.einsum("bchw,rc->brhw", latents.float(), weight) + bias[:, None, None]


def save(path: Path, tensors: dict[str, torch.Tensor], what: str) -> int:
    """Writes fp16; returns the size in bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: v.half().contiguous() for k, v in tensors.items()}, path, metadata={"format": "pt", "for": what})
    return path.stat().st_size


def load_network(path: Path, kind: type[TinyDecoder] | type[TinyEncoder]) -> nn.Sequential:
    """The width is read from the file."""
    file = {key: value.float() for key, value in load_file(path).items()}
    network = kind(next(value for value in file.values() if value.ndim == 4).shape[0])
    network.load_state_dict(file)
    return network.eval().to(memory_format=torch.channels_last)
