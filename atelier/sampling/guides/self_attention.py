"""SelfAttentionGuidance: away from the guess of a latent whose most attended parts were blurred."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from atelier.sampling.guidance import Guidance
from atelier.sampling.guides.ask import Ask, Question, within
from atelier.sampling.guides.blur import blurred
from atelier.sampling.step import Row, Step

BLUR_SIZE = 9


@dataclass
class SelfAttentionGuidance(Ask):
    """SAG (Hong et al. 2023): D = inner + scale * (Db - Dd).

    Db is the guess without the prompt, blurred where `attention` of the network's middle is above `threshold`; Dd is
    what the network makes of Db with the same noise. Without a negative the guess with the prompt takes its place.
    `watch` records, while it is in force, one map a row: how much attention each place gets, [rows, h, w].
    """

    inner: Guidance
    scale: float
    watch: Callable[[int, int], AbstractContextManager[list[Tensor]]]
    sigma: float = 1.0
    threshold: float = 1.0
    start: float = 0.0
    end: float = 1.0
    name: str = "sag"
    _seen: list[Tensor] = field(default_factory=list, init=False)
    _maps: dict[Row, Tensor] = field(default_factory=dict, init=False)

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

    def watching(self, step: Step) -> AbstractContextManager[Any]:
        self._maps = {}
        context = self.watch(*step.x.shape[-2:])
        return _Recording(self, context)

    def watched(self, rows: Sequence[Row]) -> None:
        # A call that ran out of memory and was made again in halves has left more maps than rows: the last ones count.
        maps = torch.cat(self._seen)[-len(rows) :]
        self._seen.clear()
        self._maps.update(zip(rows, maps))

    def question(self, step: Step) -> Question:
        places = self._places(step)
        clean = step.denoised_rows[list(places)]
        return Question(places, step.x_rows[list(places)] + self._degraded(step, places) - clean)

    def _places(self, step: Step) -> tuple[int, ...]:
        """One row a picture: its negative, else the first part of its prompt."""
        images = range(step.x.shape[0])
        if not step.uncond_skipped:
            return tuple(step.positives + image for image in images)
        return tuple(step.cond.images.index(image) for image in images)

    def _degraded(self, step: Step, places: Sequence[int]) -> Tensor:  # [B, C, H, W]
        clean = step.denoised_rows[list(places)]
        attention = torch.stack([self._maps[step.rows[place]] for place in places]).to(clean)
        mask = F.interpolate((attention > self.threshold).to(clean).unsqueeze(1), size=clean.shape[-2:])
        return blurred(clean, self.sigma, BLUR_SIZE) * mask + clean * (1 - mask)

    def combine(self, step: Step) -> Tensor:  # [B, C, H, W]
        guided = self.inner.combine(step)
        again = step.further.get(self.name)
        if again is None:
            return guided
        return guided + (self._degraded(step, self._places(step)) - again) * self.scale


@dataclass
class _Recording:
    """The watch in force, its maps going to the guidance."""

    owner: SelfAttentionGuidance
    context: AbstractContextManager[list[Tensor]]

    def __enter__(self) -> None:
        self.owner._seen = self.context.__enter__()

    def __exit__(self, *failure: Any) -> Any:
        return self.context.__exit__(*failure)
