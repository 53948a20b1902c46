"""Euler run backwards: from a clean latent up the noise levels to the noise that leads to it (Song et al. 2020)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

Denoise = Callable[[Tensor, float], Tensor]


def invert_euler(denoise: Denoise, x: Tensor, sigmas: Tensor, *, slope_below: bool = False) -> Tensor:
    """`sigmas` as for sampling, highest first, 0 last. [B, C, H, W] -> noise of the same shape, of spread 1.

    The slope of a step is taken at its upper end, or with `slope_below` at its lower end, which sampling will meet
    again; the first step starts at 0, where there is no slope, and takes the upper end's in any case. The result is
    brought to spread 1: divided by its own standard deviation, or with `slope_below` by the highest level.
    """
    levels = [float(sigma) for sigma in sigmas.flip(0)]
    for low, high in zip(levels, levels[1:]):
        at = low if slope_below and low > 0 else high
        x = x + (x - denoise(x, at)) / at * (high - low)
    return x / levels[-1] if slope_below else x / x.std()
