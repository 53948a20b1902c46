"""IPNDM, IPNDM_V and DEIS: Adams-Bashforth over earlier slopes (Zhang and Chen 2022)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MappingProxyType

import numpy as np
from torch import Tensor

from atelier.sampling.noise import NoiseSource
from atelier.sampling.samplers.algebra import Denoise, OnStep, slope
from atelier.sampling.samplers.quadrature import step_weights
from atelier.sampling.step import StepInfo

#: weights of Adams-Bashforth for even steps, the newest slope first
EVEN = MappingProxyType({
    1: (1.0,), 2: (3 / 2, -1 / 2), 3: (23 / 12, -16 / 12, 5 / 12), 4: (55 / 24, -59 / 24, 37 / 24, -9 / 24),
})  # fmt: skip
# The linear variance preserving process in whose time DEIS interpolates; the values of its authors for sigma from
# 0.002 to 80, where time runs from 0.001 to 1.
BETA_SLOPE = 2 * (np.log1p(0.002**2) / 1e-3 - np.log1p(80.0**2)) / (1e-3 - 1)
BETA_START = np.log1p(80.0**2) - 0.5 * BETA_SLOPE

#: points (the newest first) and the sigma to go to -> weights of the slopes at these points
StepRule = Callable[[Sequence[float], float], Sequence[float]]


def ipndm(denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: NoiseSource, on_step: OnStep) -> Tensor:
    """Improved pseudo numerical method of fourth order, which takes all steps for even; its first steps are of lower
    order. Equation 11 of Zhang and Chen 2022."""

    def rule(points: Sequence[float], goal: float) -> Sequence[float]:
        return [(goal - points[0]) * weight for weight in EVEN[len(points)]]

    return _walk(denoise, x, sigmas, on_step, rule, order=4)


def ipndm_v(denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: NoiseSource, on_step: OnStep) -> Tensor:
    """IPNDM with the true weights for uneven steps; differs from LMS in its last step alone."""

    def rule(points: Sequence[float], goal: float) -> Sequence[float]:
        return step_weights(points, points[0], goal)

    return _walk(denoise, x, sigmas, on_step, rule, order=4)


def deis(denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: NoiseSource, on_step: OnStep) -> Tensor:
    """Diffusion exponential integrator sampler, tAB3 of Zhang and Chen 2022: slopes are interpolated in time, not in
    sigma."""

    def rule(points: Sequence[float], goal: float) -> Sequence[float]:
        return step_weights(points, points[0], goal, time=_time)

    return _walk(denoise, x, sigmas, on_step, rule, order=3)


def _time(sigma: np.ndarray) -> np.ndarray:
    """Where the linear process has this sigma."""
    return (np.sqrt(BETA_START**2 + 2 * BETA_SLOPE * np.log1p(sigma**2)) - BETA_START) / BETA_SLOPE


def _walk(denoise: Denoise, x: Tensor, sigmas: Tensor, on_step: OnStep, rule: StepRule, order: int) -> Tensor:
    """The step to zero takes the guess as it is: no polynomial is to be trusted there."""
    levels = [float(sigma) for sigma in sigmas]
    slopes: list[Tensor] = []
    for i in range(len(sigmas) - 1):
        denoised = denoise(x, sigmas[i])
        on_step(StepInfo(i, levels[i], denoised))
        if levels[i + 1] == 0:
            return denoised
        slopes = [slope(x, sigmas[i], denoised), *slopes[: order - 1]]
        points = levels[i::-1][: len(slopes)]
        for d, weight in zip(slopes, rule(points, levels[i + 1])):
            x = x + weight * d
    return x
