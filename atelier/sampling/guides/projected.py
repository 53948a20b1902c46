"""AdaptiveProjected: guidance without the part of it that only saturates."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from atelier.sampling.guidance import Guidance, scaled_guess
from atelier.sampling.prediction import per_row
from atelier.sampling.step import Step


@dataclass
class AdaptiveProjected:
    """APG (Sadat et al. 2024, algorithm 1) in the place of the classifier-free guidance `inner`.

    With Dc the guess with the prompt and M the difference to the negative's, plus `momentum` times the M before, cut
    to length `threshold`: D = Dc + (scale - 1) * (the part of M across Dc + eta * the part along Dc).
    Pictures without a negative guess are left to `inner`. Belongs to one pass, since it remembers.
    """

    inner: Guidance
    eta: float = 0.0
    threshold: float = 7.5
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
        if self.threshold > 0:
            length = difference.flatten(1).norm(dim=1)
            difference = difference * per_row((self.threshold / length).clamp(max=1.0), difference)
        along = _along(difference, with_prompt)
        scale = float(step.cfg_scale) * step.cfg_multiplier
        projected = with_prompt + (scale - 1) * (difference - along + self.eta * along)
        return torch.where(per_row(torch.tensor(step.without_uncond), guided), guided, projected)


def _along(vector: Tensor, direction: Tensor) -> Tensor:
    """The part of each picture's vector that is parallel to its direction."""
    unit = torch.nn.functional.normalize(direction.flatten(1), dim=1)
    return ((vector.flatten(1) * unit).sum(1, keepdim=True) * unit).reshape(vector.shape)
