"""AdaptiveProjected: guidance without the part of it that only saturates."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from atelier.sampling.guidance import Guidance, scaled_guess
from atelier.sampling.prediction import per_row
from atelier.sampling.step import Step

#: any threshold below 0
AUTOMATIC = -1.0
#: what suits Stable Diffusion at 512 x 512; that of SDXL is 15 (diffusers' default), in latents four times as large
USUAL, USUAL_SIZE = 7.5, 4 * 64 * 64


def usual_threshold(numbers: int) -> float:
    """The threshold for latents of so many numbers. A difference of one strength has a length that grows with the
    root of their number, and so do the thresholds that are in use for each size."""
    return USUAL * (numbers / USUAL_SIZE) ** 0.5


@dataclass
class AdaptiveProjected:
    """APG (Sadat et al. 2024, algorithm 1) in the place of the classifier-free guidance `inner`.

    With Dc the guess with the prompt and M the difference to the negative's, plus `momentum` times the M before, cut
    to length `threshold`: D = Dc + (scale - 1) * (the part of M across Dc + eta * the part along Dc). A threshold of
    0 cuts nothing, one below 0 is `usual_threshold`.
    Pictures without a negative guess are left to `inner`. Belongs to one pass, since it remembers.
    """

    inner: Guidance
    eta: float = 0.0
    threshold: float = AUTOMATIC
    momentum: float = -0.75
    _average: Tensor | None = field(default=None, init=False)

    @property
    def cfg_scale(self) -> Any:
        return self.inner.cfg_scale

    def without_uncond(self, step: Step) -> tuple[bool, ...]:
        return self.inner.without_uncond(step)

    def combine(self, step: Step) -> Tensor:  # [B, C, H, W]
        guided = self.inner.combine(step)
        if step.uncond_denoised is None:
            return guided
        with_prompt = scaled_guess(step, 1.0)
        difference = with_prompt - step.uncond_denoised
        if self._average is not None:
            difference = difference + self.momentum * self._average
        self._average = difference
        limit = usual_threshold(difference[0].numel()) if self.threshold < 0 else self.threshold
        if limit > 0:
            length = difference.flatten(1).norm(dim=1)
            difference = difference * per_row((limit / length).clamp(max=1.0), difference)
        along = _along(difference, with_prompt)
        scale = float(step.cfg_scale) * step.cfg_multiplier
        projected = with_prompt + (scale - 1) * (difference - along + self.eta * along)
        return torch.where(per_row(torch.tensor(step.without_uncond), guided), guided, projected)


def _along(vector: Tensor, direction: Tensor) -> Tensor:
    """The part of each picture's vector that is parallel to its direction."""
    unit = torch.nn.functional.normalize(direction.flatten(1), dim=1)
    return ((vector.flatten(1) * unit).sum(1, keepdim=True) * unit).reshape(vector.shape)
