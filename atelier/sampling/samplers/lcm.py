"""LCM: jumps between clean guesses of a latent consistency model (Luo et al. 2023)."""

from __future__ import annotations

from torch import Tensor

from atelier.sampling.noise import NoiseSource
from atelier.sampling.samplers.algebra import Denoise, OnStep
from atelier.sampling.step import StepInfo


def lcm(denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: NoiseSource, on_step: OnStep) -> Tensor:
    """Multistep consistency sampling: take the guess as it is, then noise it again to the next sigma."""
    for i in range(len(sigmas) - 1):
        x = denoise(x, sigmas[i])
        on_step(StepInfo(i, float(sigmas[i]), x))
        if sigmas[i + 1] > 0:
            x = x + sigmas[i + 1] * noise(sigmas[i], sigmas[i + 1])
    return x
