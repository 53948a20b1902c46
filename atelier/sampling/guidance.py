"""Guidance: how the guesses with and without the prompt become one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from atelier.sampling.prediction import per_row
from atelier.sampling.step import Step


class Guidance(Protocol):
    """What the denoiser asks of a guidance method."""

    cfg_scale: Any

    def without_uncond(self, step: Step) -> tuple[bool, ...]:
        """For each picture: may this call do without its negative row?"""
        ...

    def combine(self, step: Step) -> Tensor:  # [B, C, H, W]
        """The guided guess, from `step.cond_denoised` and `step.uncond_denoised`."""
        ...


@dataclass
class ClassifierFree:
    """Classifier-free guidance (Ho and Salimans 2022) with weighted parts: D = Du + sum_i (Di - Du) * (wi * scale).

    `cfg_scale` is multiplied exactly once for each picture and part of a call, as the very object that was given.
    `s_min_uncond`: below this sigma every second call, or all with `s_min_uncond_all`, leaves the negative out.
    `skip_early`: the negative is left out for this first fraction of the calls.
    `skip_at_one`: with a plain scale of 1 and a single part of weight 1 the negative has no effect and is left out.
    """

    cfg_scale: Any = 7.0
    s_min_uncond: float = 0.0
    s_min_uncond_all: bool = False
    skip_early: float = 0.0
    skip_at_one: bool = False

    def without_uncond(self, step: Step) -> tuple[bool, ...]:
        images = step.x.shape[0]
        if self.skip_early and step.total and step.index / step.total <= self.skip_early:
            return (True,) * images
        if self.skip_at_one and self._has_no_effect(step):
            return (True,) * images
        if self.s_min_uncond > 0 and (step.index % 2 == 1 or self.s_min_uncond_all):
            return tuple(sigma < self.s_min_uncond for sigma in step.sigma.tolist())
        return (False,) * images

    def _has_no_effect(self, step: Step) -> bool:
        # An object that only looks like a number may give another value at each call: it is never read here.
        plain = type(step.cfg_scale) in (int, float) and step.cfg_scale * step.cfg_multiplier == 1
        weights = step.cond.weights
        return plain and len(weights) == step.x.shape[0] and all(weight == 1 for weight in weights)

    def combine(self, step: Step) -> Tensor:
        cond, uncond, images = step.cond_denoised, step.uncond_denoised, step.cond.images
        # Where there is no negative guess, the first part stands for it and the scale is 1.
        first = [images.index(image) for image in range(step.x.shape[0])]
        base = cond[first] if uncond is None else uncond.clone()
        for image, skipped in enumerate(step.without_uncond):
            if skipped:
                base[image] = cond[first[image]]
        guided = base.clone()
        for row, (image, weight) in enumerate(zip(images, step.cond.weights)):
            if step.without_uncond[image]:
                factor: Any = weight
            else:
                factor = (weight * step.cfg_multiplier) * step.cfg_scale
            guided[image] += (cond[row] - base[image]) * factor
        return guided


def scaled_guess(step: Step, scale: float) -> Tensor:  # [B, C, H, W]
    """What classifier-free guidance gives with this scale; 1 where a picture has no negative guess."""
    cond, uncond, images = step.cond_denoised, step.uncond_denoised, step.cond.images
    first = [images.index(image) for image in range(step.x.shape[0])]
    base = cond[first]
    if uncond is not None:
        skipped = per_row(torch.tensor(step.without_uncond), base)
        base = torch.where(skipped, base, uncond)
    guided = base.clone()
    for row, (image, weight) in enumerate(zip(images, step.cond.weights)):
        factor = 1.0 if uncond is None or step.without_uncond[image] else scale
        guided[image] += (cond[row] - base[image]) * (weight * factor)
    return guided
