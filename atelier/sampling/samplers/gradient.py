"""Gradient estimation: Euler steps along a slope that is corrected by the one before (Permenter and Yuan 2023)."""

from __future__ import annotations

from torch import Tensor

from atelier.sampling.noise import NoiseSource
from atelier.sampling.samplers.algebra import Denoise, DenoisePair, OnStep, slope
from atelier.sampling.step import StepInfo

#: the paper's choice: the newest slope counts twice, the one before is taken off once
GAMMA = 2.0


def gradient_estimation(
    denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: NoiseSource, on_step: OnStep, gamma: float = GAMMA
) -> Tensor:
    """Algorithm 2 of the paper."""

    def pair(x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        guess = denoise(x, sigma)
        return guess, guess

    return gradient_estimation_cfgpp(pair, x, sigmas, noise=noise, on_step=on_step, gamma=gamma)


def gradient_estimation_cfgpp(
    pair: DenoisePair, x: Tensor, sigmas: Tensor, *, noise: NoiseSource, on_step: OnStep, gamma: float = GAMMA
) -> Tensor:
    """The same with CFG++ (Chung et al. 2024): slopes are those of the unguided guess."""
    previous = None
    for i in range(len(sigmas) - 1):
        denoised, base = pair(x, sigmas[i])
        on_step(StepInfo(i, float(sigmas[i]), denoised))
        if sigmas[i + 1] == 0:
            return denoised
        d = slope(x, sigmas[i], base)
        x = denoised + d * sigmas[i + 1]
        if previous is not None:
            x = x + (gamma - 1) * (d - previous) * (sigmas[i + 1] - sigmas[i])
        previous = d
    return x
