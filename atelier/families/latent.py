"""LatentSpace: the numbers that say how a family's latents relate to pictures."""

from __future__ import annotations

from dataclasses import dataclass

import torch

Row = tuple[float, float, float]


@dataclass(frozen=True)
class LatentSpace:
    """`factor` pixels a side make one latent cell. Stored latents = (raw - shift) * scale.

    `preview` maps a latent cell to red, green and blue in -1..1 by one matrix, [channels, 3], plus `preview_bias`.
    """

    channels: int
    factor: int
    scale: float
    shift: float = 0.0
    preview: tuple[Row, ...] = ()
    preview_bias: Row = (0.0, 0.0, 0.0)

    def scaled(self, raw: torch.Tensor) -> torch.Tensor:
        return (raw - self.shift) * self.scale

    def raw(self, scaled: torch.Tensor) -> torch.Tensor:
        return scaled / self.scale + self.shift

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the latents for a picture; both sides of the picture are rounded up to whole cells."""
        return -(-width // self.factor), -(-height // self.factor)

    def preview_rgb(self, latents: torch.Tensor) -> torch.Tensor:  # [B, C, h, w] -> [B, 3, h, w] in 0..1
        """A cheap picture of unfinished latents, one pixel a cell."""
        if not self.preview:
            flat = latents[:, :1].float().expand(-1, 3, -1, -1)
            return (flat / 4 + 0.5).clamp(0, 1)
        matrix = torch.tensor(self.preview, dtype=torch.float32, device=latents.device)
        bias = torch.tensor(self.preview_bias, dtype=torch.float32, device=latents.device)
        rgb = torch.einsum("bchw,cr->brhw", latents.float(), matrix) + bias[:, None, None]
        return ((rgb + 1) / 2).clamp(0, 1)
