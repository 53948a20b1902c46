"""Step and ModelInputs: what hooks see, and may change, at each call of the network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from atelier.sampling.conditioning import StepConditioning


@dataclass(frozen=True)
class StepInfo:
    """What a sampler tells after each of its steps. `index` counts sampler steps, not network calls."""

    index: int
    sigma: float
    denoised: Tensor  # [B, C, H, W]


BLANK = -2


@dataclass(frozen=True)
class Row:
    """One row of a network call: the text of a picture. `part` counts its AND parts; the negative has part -1, and
    part -2 where it is asked once more with nothing beside the latents (models that edit a picture)."""

    image: int
    part: int = -1

    @property
    def negative(self) -> bool:
        return self.part < 0

    @property
    def blank(self) -> bool:
        return self.part == BLANK


@dataclass(eq=False)
class Step:
    """One call of the denoiser, from its input to the guided result.

    Everything is told in one scale, x = x0 + sigma * noise, whatever the sampler. Rows stand in the order: every AND
    part of every picture, then one negative for each picture (absent when `uncond_skipped`), then, where the
    conditioning has a `blank_concat`, the negatives once more with that.
    `cfg_scale` is handed on untouched, because some extensions pass an object that only multiplies like a number.
    """

    x: Tensor  # [B, C, H, W]
    sigma: Tensor  # [B]
    index: int
    total: int
    cond: StepConditioning
    cfg_scale: Any
    rows: tuple[Row, ...] = ()
    x_rows: Tensor | None = None  # [N, C, H, W]
    sigma_rows: Tensor | None = None  # [N]
    denoised_rows: Tensor | None = None  # [N, C, H, W]
    denoised: Tensor | None = None  # [B, C, H, W]
    unblended: Tensor | None = None  # [B, C, H, W], before the mask is applied
    uncond_skipped: bool = False
    without_uncond: tuple[bool, ...] = ()
    cfg_multiplier: float = 1.0
    mask: Tensor | None = None  # 1 where the original stays
    nmask: Tensor | None = None  # 1 where the picture changes
    init_latents: Tensor | None = None  # [B, C, H, W]
    #: guesses that guidance asked for beside these, by its name
    further: dict[str, Tensor] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def positives(self) -> int:
        return len(self.cond.images)

    @property
    def cond_denoised(self) -> Tensor | None:  # [P, C, H, W]
        return None if self.denoised_rows is None else self.denoised_rows[: self.positives]

    @cond_denoised.setter
    def cond_denoised(self, value: Tensor) -> None:
        self.denoised_rows = torch.cat([value, self.denoised_rows[self.positives :]])

    @property
    def uncond_denoised(self) -> Tensor | None:  # [B, C, H, W]
        if self.denoised_rows is None or self.uncond_skipped:
            return None
        return self.denoised_rows[self.positives : self.positives + self.x.shape[0]]

    @uncond_denoised.setter
    def uncond_denoised(self, value: Tensor) -> None:
        rest = self.denoised_rows[self.positives + value.shape[0] :]
        self.denoised_rows = torch.cat([self.denoised_rows[: self.positives], value, rest])

    @property
    def blank_denoised(self) -> Tensor | None:  # [B, C, H, W]
        """What the negative gives with nothing beside the latents."""
        if self.denoised_rows is None or self.uncond_skipped or self.cond.blank_concat is None:
            return None
        return self.denoised_rows[self.positives + self.x.shape[0] :]


@dataclass(eq=False)
class ModelInputs:
    """One call of the network. Usually holds all rows of a step; texts of different length go in separate calls.

    `residuals` is for what extensions add inside the network, by name; the family's call reads what it knows.
    """

    latents: Tensor  # [N, C, H, W], already scaled for the network
    t: Tensor  # [N]
    context: Tensor  # [N, T, C]
    rows: tuple[Row, ...]
    sigma: Tensor  # [N]
    concat: Tensor | None = None  # [N, c, H, W]
    added: dict[str, Tensor] = field(default_factory=dict)  # name -> [N, ...]
    residuals: dict[str, Any] = field(default_factory=dict)
    step: Step | None = None


def ignore(_: Any) -> None:
    """A hook or listener that does nothing."""


@dataclass(frozen=True)
class StepHooks:
    """The moments of a call, in order. Each gets the carrier and may change its fields."""

    before_denoise: Callable[[Step], None] = ignore
    amend_model_inputs: Callable[[ModelInputs], None] = ignore
    after_denoise: Callable[[Step], None] = ignore
    blend_mask: Callable[[Step], None] = ignore
    after_guidance: Callable[[Step], None] = ignore
