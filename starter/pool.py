"""The pool of training pictures: scenes with latents, from several stages in given shares, without what is held out."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

import torch

from starter import beside
from starter import latents as store
from starter.captions import caption, vague
from starter.scene import Scene


class Pool:
    """Draws training rows stage by stage; each stage is gone through in a new order before a row comes again."""

    def __init__(self, data: Path, shares: Mapping[str, float], seed: int, kind: str | None = None) -> None:
        """`shares`: stage to its share of the draws. Raises FileNotFoundError for a stage without latents.

        With a `kind` of `beside.CHANNELS`, rows carry what that sibling is fed, behind the four channels of latents.
        """
        self._rng = random.Random(seed)
        self._names, self._weights = list(shares), list(shares.values())
        self._scenes: dict[str, list[Scene]] = {}
        self._latents: dict[str, torch.Tensor] = {}
        self._order: dict[str, list[int]] = {name: [] for name in shares}
        for name in shares:
            self._scenes[name], self._latents[name] = store.load(data, name)
            if kind is not None:
                more = beside.load(data, kind, name)[: len(self._scenes[name])]
                self._latents[name] = torch.cat([self._latents[name], more], 1)

    def _next(self, stage: str) -> int:
        if not self._order[stage]:
            rows = [i for i, scene in enumerate(self._scenes[stage]) if not scene.held]
            self._order[stage] = self._rng.sample(rows, len(rows))
        return self._order[stage].pop()

    def draw(self, number: int, open_share: float = 0.0) -> tuple[list[str], torch.Tensor]:  # captions, [B, 4+, h, w]
        """Captions are worded anew each time; `open_share` of them leave something open."""
        stages = self._rng.choices(self._names, self._weights, k=number)
        rows = [(stage, self._next(stage)) for stage in stages]
        words = [
            (vague if self._rng.random() < open_share else caption)(self._scenes[stage][i], self._rng)
            for stage, i in rows
        ]
        return words, torch.stack([self._latents[stage][i] for stage, i in rows])

    def held(self, number: int, seed: int = 5) -> tuple[list[str], torch.Tensor]:
        """Held-out rows for measuring, always the same ones for the same stages."""
        rows = [(stage, i) for stage in self._names for i, scene in enumerate(self._scenes[stage]) if scene.held]
        rows = random.Random(seed).sample(rows, min(number, len(rows)))
        return [caption(self._scenes[stage][i]) for stage, i in rows], torch.stack(
            [self._latents[stage][i] for stage, i in rows]
        )

    def __len__(self) -> int:
        return sum(not scene.held for rows in self._scenes.values() for scene in rows)
