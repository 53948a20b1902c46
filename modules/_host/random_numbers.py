"""`modules.rng`: noise from seeds, from the source that the settings name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from atelier.sampling.noise import Generator, PictureNoise
from atelier.sampling.noise import slerp as mix
from modules._host.attach import host
from modules._host.devices import view


class ImageRNG:
    """The noise of a batch: the starting noise first, then that of each step."""

    def __init__(
        self, shape: Sequence[int], seeds: Sequence[int], subseeds: Sequence[int] | None = None,
        subseed_strength: float = 0.0, seed_resize_from_h: int = 0, seed_resize_from_w: int = 0,
    ) -> None:  # fmt: skip
        self.shape = tuple(map(int, shape))
        self.seeds, self.subseeds, self.subseed_strength = seeds, subseeds, subseed_strength
        self.seed_resize_from_h, self.seed_resize_from_w = seed_resize_from_h, seed_resize_from_w
        self.is_first = True
        resized = seed_resize_from_h > 0 and seed_resize_from_w > 0
        options = host().options
        self._noise = PictureNoise(
            self.shape, list(seeds), list(subseeds or ()), subseed_strength if subseeds else 0.0,
            resize_from=(seed_resize_from_h, seed_resize_from_w) if resized else (0, 0), source=options.randn_source,
            eta_seed_delta=options.eta_noise_seed_delta or 0, device=view.device,
        )  # fmt: skip

    def first(self) -> torch.Tensor:  # [B, C, h, w]
        return self._noise.first()

    def next(self) -> torch.Tensor:  # [B, C, h, w]
        """The first call gives the starting noise."""
        if self.is_first:
            self.is_first = False
            return self.first()
        return self._noise.next()


def create_generator(seed: int) -> Generator:
    """With `randn(shape)`."""
    return Generator(host().options.randn_source, int(seed), view.device)


def randn(seed: int, shape: Sequence[int], generator: Any = None) -> torch.Tensor:
    return (generator or create_generator(seed)).randn(shape)


def randn_local(seed: int, shape: Sequence[int]) -> torch.Tensor:
    return create_generator(seed).randn(shape)


def slerp(val: float, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:  # [C, h, w]
    return mix(val, low, high)
