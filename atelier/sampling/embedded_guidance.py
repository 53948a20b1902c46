"""EmbeddedGuidance: guidance that a network was distilled to do, told its strength (Meng and others 2023)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from atelier.sampling.guidance import Guidance
from atelier.sampling.step import Step


@dataclass
class EmbeddedGuidance:
    """One guess is the guided one, so the negative is never asked for. Several parts are joined as `inner` does."""

    inner: Guidance

    @property
    def cfg_scale(self) -> Any:
        return self.inner.cfg_scale

    def without_uncond(self, step: Step) -> tuple[bool, ...]:
        return (True,) * step.x.shape[0]

    def combine(self, step: Step) -> Tensor:  # [B, C, H, W]
        return self.inner.combine(step)


def embedded_guidance(strength: Tensor, width: int) -> Tensor:  # [N] -> [N, width]
    """Sines and cosines of falling frequencies of 1000 times the strength, which is the CFG scale less 1
    (latent consistency models, Luo and others 2023)."""
    half = width // 2
    frequencies = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float32) / (half - 1))
    angles = strength.float()[:, None] * 1000 * frequencies[None]
    told = torch.cat([angles.sin(), angles.cos()], dim=1)
    return torch.nn.functional.pad(told, (0, width - 2 * half))
