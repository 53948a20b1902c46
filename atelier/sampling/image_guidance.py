"""ImageGuidance: how strongly the picture beside the latents is followed, by models that edit a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from atelier.sampling.guidance import Guidance
from atelier.sampling.step import Step


@dataclass
class ImageGuidance:
    """Guidance in two directions (InstructPix2Pix, Brooks and others 2023), around any guidance by text.

    With Dt the guess with text and picture, Di with the picture alone and D0 with neither:
    D = D0 + image_cfg_scale * (Di - D0) + cfg_scale * (Dt - Di). What `inner` gives is Di + cfg_scale * (Dt - Di),
    so (image_cfg_scale - 1) * (Di - D0) is added to it. At 1 there is nothing to add, and D0 need not be asked for.
    """

    inner: Guidance
    image_cfg_scale: float

    @property
    def cfg_scale(self) -> Any:
        return self.inner.cfg_scale

    def without_uncond(self, step: Step) -> tuple[bool, ...]:
        return self.inner.without_uncond(step)

    def combine(self, step: Step) -> Tensor:  # [B, C, H, W]
        guided = self.inner.combine(step)
        blank, uncond = step.blank_denoised, step.uncond_denoised
        if blank is None or uncond is None:
            return guided
        asked = torch.tensor([not skipped for skipped in step.without_uncond]).to(guided).reshape(-1, 1, 1, 1)
        return guided + (uncond - blank) * (self.image_cfg_scale - 1) * asked
