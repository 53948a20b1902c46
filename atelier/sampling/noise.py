"""PictureNoise: every random number of a batch, each picture from its own seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from atelier.base.errors import BadRequest
from atelier.sampling.brownian import BrownianPath
from atelier.sampling.philox import Philox

SOURCES = ("GPU", "CPU", "NV")
LATENT_FACTOR = 8


class NoiseSource(Protocol):
    """What a sampler asks for noise: unit variance, for the step from one sigma to the next.

    Only the pictures marked in `active` draw; the others get zeros and keep their place in their sequence.
    """

    def __call__(
        self, sigma: Tensor | float, sigma_next: Tensor | float, active: Sequence[bool] | None = None
    ) -> Tensor:  # [B, C, H, W]
        ...


def slerp(amount: float, low: Tensor, high: Tensor) -> Tensor:  # [C, H, W] -> [C, H, W]
    """Spherical interpolation along dimension 1, as A1111's variation seeds have it.

    Nearly parallel tensors are mixed linearly with the roles of both swapped; seeds in the wild depend on it.
    """
    low_unit = low / torch.linalg.vector_norm(low, dim=1, keepdim=True)
    high_unit = high / torch.linalg.vector_norm(high, dim=1, keepdim=True)
    dot = (low_unit * high_unit).sum(1)
    if dot.mean() > 0.9995:
        return low * amount + high * (1 - amount)
    omega = torch.acos(dot)
    whole = torch.sin(omega)
    share_low = (torch.sin((1.0 - amount) * omega) / whole).unsqueeze(1)
    share_high = (torch.sin(amount * omega) / whole).unsqueeze(1)
    return share_low * low + share_high * high


class Generator:
    """Normal numbers from one seed and source, always float32. NV repeats CUDA's numbers on any device."""

    def __init__(self, source: str, seed: int, device: torch.device) -> None:
        self._device = device
        self._philox = Philox(seed) if source == "NV" else None
        if self._philox is None:
            # Only CUDA and XPU have generators whose numbers are their own; elsewhere those of the CPU are used.
            own = source == "GPU" and device.type in ("cuda", "xpu")
            self._torch = torch.Generator(device if own else "cpu")
            self._torch.manual_seed(seed & 0xFFFFFFFFFFFFFFFF)

    def randn(self, shape: Sequence[int]) -> Tensor:
        if self._philox is not None:
            return torch.from_numpy(self._philox.randn(shape)).to(self._device)
        drawn = torch.randn(tuple(shape), generator=self._torch, device=self._torch.device, dtype=torch.float32)
        return drawn.to(self._device)


def paste_centred(small: Tensor, target: Tensor) -> Tensor:  # [C, h, w], [C, H, W] -> [C, H, W]
    """Puts the small noise in the middle of the target, cut where it is larger; changes the target."""
    (height, width), (rows, columns) = target.shape[-2:], small.shape[-2:]
    dx, dy = (width - columns) // 2, (height - rows) // 2
    columns = columns if dx >= 0 else columns + 2 * dx
    rows = rows if dy >= 0 else rows + 2 * dy
    to_x, to_y, from_x, from_y = max(dx, 0), max(dy, 0), max(-dx, 0), max(-dy, 0)
    target[:, to_y : to_y + rows, to_x : to_x + columns] = small[:, from_y : from_y + rows, from_x : from_x + columns]
    return target


@dataclass(eq=False)
class PictureNoise:
    """The noise of a batch. `shape` is (C, H, W) of one picture's latents; there is one picture a seed.

    `subseeds` with a `subseed_strength` above 0 mix in a second noise. `resize_from` is (height, width) in pixels of
    the picture whose noise is placed in the middle; (0, 0) for none. `source` is GPU, CPU or NV.
    `eta_seed_delta` moves the seeds of all noise after the first. Raises `BadRequest` on an unknown source.
    """

    shape: tuple[int, int, int]
    seeds: Sequence[int]
    subseeds: Sequence[int] = ()
    subseed_strength: float = 0.0
    resize_from: tuple[int, int] = (0, 0)
    source: str = "GPU"
    eta_seed_delta: int = 0
    device: torch.device | str = "cpu"
    dtype: torch.dtype = torch.float32
    _generators: list[Generator] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise BadRequest(
                "sampling.randn_source", f"{self.source!r} is no noise source.", remedy=f"One of {', '.join(SOURCES)}."
            )
        self.device = torch.device(self.device)
        self._generators = [self._generator(seed) for seed in self.seeds]

    def _generator(self, seed: int) -> Generator:
        return Generator(self.source, int(seed), self.device)

    def first(self) -> Tensor:  # [B, C, H, W]
        """The starting noise of every picture. Ask for it once, before any other draw."""
        drawn = torch.stack([self._first_of(place) for place in range(len(self.seeds))])
        if self.eta_seed_delta:
            self._generators = [self._generator(seed + self.eta_seed_delta) for seed in self.seeds]
        return drawn.to(self.dtype)

    def _first_of(self, place: int) -> Tensor:
        shape = self._source_shape()
        resized = shape != tuple(self.shape)
        generator = self._generators[place]
        noise = (self._generator(self.seeds[place]) if resized else generator).randn(shape)
        if self.subseed_strength and self.subseeds:
            noise = slerp(self.subseed_strength, noise, self._generator(self.subseeds[place]).randn(shape))
        return paste_centred(noise, generator.randn(self.shape)) if resized else noise

    def _source_shape(self) -> tuple[int, int, int]:
        height, width = self.resize_from
        if height <= 0 or width <= 0:
            return tuple(self.shape)
        return (self.shape[0], max(height // LATENT_FACTOR, 1), max(width // LATENT_FACTOR, 1))

    def next(self, active: Sequence[bool] | None = None) -> Tensor:  # [B, C, H, W]
        """Further noise. Pictures that are not active draw nothing and get zeros."""
        rows = [
            generator.randn(self.shape) if active is None or active[place] else torch.zeros(self.shape).to(self.device)
            for place, generator in enumerate(self._generators)
        ]
        return torch.stack(rows).to(self.dtype)

    def sequence(self) -> NoiseSource:
        """Noise for ancestral samplers: the next draw of each picture, whatever the sigma."""

        def draw(sigma: Tensor | float, sigma_next: Tensor | float, active: Sequence[bool] | None = None) -> Tensor:
            return self.next(active)

        return draw

    def brownian(self, sigma_min: float, sigma_max: float, together: bool = False) -> NoiseSource:
        """Noise for SDE samplers: increments of one random walk a picture over the whole range of sigma.

        `together` walks for the whole batch at once, from its last seed: other batch sizes give other pictures.
        """
        if together:
            return self._joint(sigma_min, sigma_max)
        paths = [BrownianPath(self._drawer(), sigma_min, sigma_max, int(seed)) for seed in self.seeds]

        def draw(sigma: Tensor | float, sigma_next: Tensor | float, active: Sequence[bool] | None = None) -> Tensor:
            high, low = float(sigma), float(sigma_next)
            sign = 1.0 if high <= low else -1.0
            increments = [path.increment(min(low, high), max(low, high)) for path in paths]
            empty = torch.zeros(self.shape).to(self.device)
            walked = torch.stack([empty if part is None else part for part in increments])
            scale = abs(high - low) ** 0.5
            return (walked * (sign / scale if scale else 0.0)).to(self.dtype)

        return draw

    def _joint(self, sigma_min: float, sigma_max: float) -> NoiseSource:
        shape = (len(self.seeds), *self.shape)
        seeded = torch.Generator().manual_seed(int(self.seeds[-1]) & 0xFFFFFFFFFFFFFFFF)
        entropy = torch.randint(0, 2**63 - 1, [], generator=seeded).item()
        path = BrownianPath(lambda seed: self._generator(seed).randn(shape), sigma_min, sigma_max, int(entropy))

        def draw(sigma: Tensor | float, sigma_next: Tensor | float, active: Sequence[bool] | None = None) -> Tensor:
            high, low = float(sigma), float(sigma_next)
            walked = path.increment(min(low, high), max(low, high))
            if walked is None:
                return torch.zeros(shape, device=self.device, dtype=self.dtype)
            sign = 1.0 if high <= low else -1.0
            return (walked * (sign / abs(high - low) ** 0.5)).to(self.dtype)

        return draw

    def _drawer(self) -> Callable[[int], Tensor]:
        return lambda seed: self._generator(seed).randn(self.shape)
