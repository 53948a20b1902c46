"""PerturbedAttention: away from the guess that the network makes when its self-attention is disturbed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from atelier.sampling.guidance import Guidance
from atelier.sampling.guides.ask import Ask, Question, within
from atelier.sampling.step import Step


@dataclass
class PerturbedAttention(Ask):
    """D = inner + scale * sum_i wi (Di - Pi), where Pi is the guess with the prompt under `disturb`.

    Attention that is replaced by the identity gives PAG (Ahn et al. 2024), attention whose queries are blurred gives
    SEG (Hong 2024). `disturb` changes the network for the time of a call; it is given height and width of the latents.
    """

    inner: Guidance
    name: str
    scale: float
    disturb: Callable[[int, int], AbstractContextManager[Any]]
    start: float = 0.0
    end: float = 1.0

    @property
    def ask(self) -> Ask:
        return self

    @property
    def cfg_scale(self) -> Any:
        return self.inner.cfg_scale

    def without_uncond(self, step: Step) -> tuple[bool, ...]:
        return self.inner.without_uncond(step)

    def wanted(self, step: Step) -> bool:
        return within(step, self.start, self.end)

    def question(self, step: Step) -> Question:
        return Question(tuple(range(step.positives)), step.x_rows[: step.positives])

    def applied(self, step: Step) -> AbstractContextManager[Any]:
        return self.disturb(*step.x.shape[-2:])

    def combine(self, step: Step) -> Tensor:  # [B, C, H, W]
        guided = self.inner.combine(step)
        perturbed = step.further.get(self.name)
        if perturbed is None:
            return guided
        guided = guided.clone()
        for row, (image, weight) in enumerate(zip(step.cond.images, step.cond.weights)):
            guided[image] += (step.cond_denoised[row] - perturbed[row]) * (weight * self.scale)
        return guided
