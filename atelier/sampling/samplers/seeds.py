"""SEEDS: exponential Runge-Kutta steps of the reverse process, with noise that fits between the stages."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from atelier.sampling.noise import NoiseSource
from atelier.sampling.samplers.algebra import Denoise, OnStep
from atelier.sampling.step import StepInfo

#: where the stages stand within a step, in log sigma
TWO, THREE = (0.5,), (1 / 3, 2 / 3)


def seeds_2(
    denoise: Denoise,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    on_step: OnStep,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """Two stages (Gonzalez et al. 2023, algorithm 2, for clean guesses); with eta 0 that of DPM-Solver++(2S)."""
    return _walk(denoise, x, sigmas, TWO, (noise, on_step, eta, s_noise))


def seeds_3(
    denoise: Denoise,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    on_step: OnStep,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """Three stages (algorithm 3); with eta 0 that of DPM-Solver++(3S)."""
    return _walk(denoise, x, sigmas, THREE, (noise, on_step, eta, s_noise))


def _walk(
    denoise: Denoise, x: Tensor, sigmas: Tensor, stages: Sequence[float], told: tuple[NoiseSource, OnStep, float, float]
) -> Tensor:
    """Each stage starts from x with the slope between the first guess and the latest; noise adds up on the way."""
    noise, on_step, eta, s_noise = told
    for i in range(len(sigmas) - 1):
        sigma, sigma_next = float(sigmas[i]), float(sigmas[i + 1])
        first = denoise(x, sigmas[i])
        on_step(StepInfo(i, sigma, first))
        if sigma_next == 0:
            return first
        h = math.log(sigma / sigma_next)
        guess, before, drawn = first, 0.0, 0.0
        for place in (*stages, 1.0):
            span, level = (place - before) * h, sigma * math.exp(-place * h)
            if eta:
                spread = level * s_noise * math.sqrt(-math.expm1(-2 * eta * span))
                drawn = drawn * math.exp(-(1 + eta) * span) + noise(sigma * math.exp(-before * h), level) * spread
            z = (1 + eta) * place * h
            there = math.exp(-z) * x - math.expm1(-z) * first + drawn
            if before:
                # Two stages are joined by the midpoint rule, as in the paper.
                share = -math.expm1(-z) if len(stages) == 1 else (place / before) * (math.expm1(-z) / z + 1)
                there = there + share * (guess - first)
            if place < 1:
                guess = denoise(there, sigmas.new_tensor(level))
            before = place
        x = there
    return x
