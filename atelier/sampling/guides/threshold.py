"""DynamicThreshold: a high scale of guidance with the range of values of a lower one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from atelier.sampling.guidance import Guidance, scaled_guess
from atelier.sampling.prediction import per_row
from atelier.sampling.step import Step

#: what a channel of equal values is divided by
SMALLEST = 1e-12


@dataclass(frozen=True)
class ThresholdOptions:
    """Named as in the extension. Modes say how a scale goes from itself to its minimum, or from there to itself."""

    mimic_scale: float = 7.0
    percentile: float = 1.0
    phi: float = 1.0
    mimic_mode: str = "Constant"
    mimic_min: float = 0.0
    cfg_mode: str = "Constant"
    cfg_min: float = 0.0
    mode_value: float = 4.0
    separate: bool = True
    startpoint: str = "MEAN"
    variability: str = "AD"


@dataclass
class DynamicThreshold:
    """Dynamic thresholding with a mimic scale (mcmonkey, MIT; after Saharia et al. 2022), around classifier-free
    guidance: values are cut off and shrunk to the range that guidance with the mimic scale has, around the mean of
    their channel. Each picture for itself; those without a negative guess stay as they are."""

    inner: Guidance
    options: ThresholdOptions = ThresholdOptions()

    @property
    def cfg_scale(self) -> Any:
        return self.inner.cfg_scale

    def without_uncond(self, step: Step) -> tuple[bool, ...]:
        return self.inner.without_uncond(step)

    def combine(self, step: Step) -> Tensor:  # [B, C, H, W]
        guided = self.inner.combine(step)
        if step.uncond_denoised is None:
            return guided
        own, share = self.options, step.index / max(step.total - 1, 1)
        mimic = scaled_at(own.mimic_scale, own.mimic_mode, own.mimic_min, share, own.mode_value)
        target = guided
        if own.cfg_mode != "Constant":
            scale = float(step.cfg_scale) * step.cfg_multiplier
            target = scaled_guess(step, scaled_at(scale, own.cfg_mode, own.cfg_min, share, own.mode_value))
        result = self._fitted(target, scaled_guess(step, mimic))
        result = result * own.phi + target * (1 - own.phi)
        return torch.where(per_row(torch.tensor(step.without_uncond), guided), guided, result)

    def _fitted(self, target: Tensor, mimic: Tensor) -> Tensor:
        own = self.options
        axes = (2, 3) if own.separate else (1, 2, 3)
        means = target.mean(dim=(2, 3), keepdim=True)
        centred, reference = target - means, mimic - mimic.mean(dim=(2, 3), keepdim=True)
        if own.variability == "STD":
            wanted, found = (values.std(dim=axes, keepdim=True) for values in (reference, centred))
        else:
            wanted = reference.abs().amax(dim=axes, keepdim=True)
            flat = centred.abs().flatten(2) if own.separate else centred.abs().flatten(1).unsqueeze(1)
            found = torch.quantile(flat, own.percentile, dim=2)[..., None, None]
        found = found.clamp_min(SMALLEST)
        if own.startpoint == "ZERO":
            return target * (wanted / found)
        if own.variability == "STD":
            return centred / found * wanted + means
        widest = torch.maximum(wanted, found)
        return torch.minimum(torch.maximum(centred, -widest), widest) / widest * wanted + means


def scaled_at(scale: float, mode: str, lowest: float, share: float, value: float) -> float:
    """The scale of a mode at this share of the way."""
    repeat = share * value
    portion = repeat % 1.0
    factor = {
        "Constant": 1.0,
        "Linear Down": 1 - share,
        "Half Cosine Down": math.cos(share),
        "Cosine Down": math.cos(share * math.pi / 2),
        "Linear Up": share,
        "Half Cosine Up": 1 - math.cos(share),
        "Cosine Up": 1 - math.cos(share * math.pi / 2),
        "Power Up": share**value,
        "Power Down": 1 - share**value,
        "Linear Repeating": abs(portion - 0.5) * 2,
        "Cosine Repeating": math.cos(repeat * 2 * math.pi) * 0.5 + 0.5,
        "Sawtooth": portion,
    }[mode]
    return (scale - lowest) * factor + lowest
