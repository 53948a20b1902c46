"""Rescale: the contrast that guidance adds is taken back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from atelier.sampling.guidance import Guidance, scaled_guess
from atelier.sampling.prediction import Prediction, per_row
from atelier.sampling.step import Step


@dataclass
class Rescale:
    """Section 3.4 of Lin et al. 2023: with V the guided output and Vc the one with the prompt,
    V' = phi * V * std(Vc) / std(V) + (1 - phi) * V, each picture for itself.

    Outputs are what the network predicts, noise or velocity, as in the paper. Of several parts the weighted sum
    counts as the one with the prompt.
    """

    inner: Guidance
    phi: float
    prediction: Prediction

    @property
    def cfg_scale(self) -> Any:
        return self.inner.cfg_scale

    def without_uncond(self, step: Step) -> tuple[bool, ...]:
        return self.inner.without_uncond(step)

    def combine(self, step: Step) -> Tensor:  # [B, C, H, W]
        guided = self.inner.combine(step)
        with_prompt = scaled_guess(step, 1.0)
        output, reference = (self._output(step, guess) for guess in (guided, with_prompt))
        ratio = _spread(reference) / _spread(output)
        # Where everything is equal there is no contrast to give back.
        ratio = torch.where(torch.isfinite(ratio), ratio, torch.ones_like(ratio))
        return self._denoised(step, output * (self.phi * ratio + (1 - self.phi)))

    def _output(self, step: Step, denoised: Tensor) -> Tensor:
        sigma = per_row(step.sigma, denoised)
        if self.prediction.kind == "eps":
            return (step.x - denoised) / sigma
        return (step.x / (sigma**2 + 1) - denoised) * (sigma**2 + 1) ** 0.5 / sigma

    def _denoised(self, step: Step, output: Tensor) -> Tensor:
        sigma = per_row(step.sigma, output)
        if self.prediction.kind == "eps":
            return step.x - sigma * output
        return step.x / (sigma**2 + 1) - output * sigma / (sigma**2 + 1) ** 0.5


def _spread(values: Tensor) -> Tensor:  # [B, 1, 1, 1]
    return values.std(dim=(1, 2, 3), keepdim=True)
