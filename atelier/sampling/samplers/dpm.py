"""DPM2, DPM2 a, DPM++ 2S a and DPM++ SDE: single steps of second order in log sigma (Lu et al. 2022)."""

from __future__ import annotations

import torch
from torch import Tensor

from atelier.sampling.noise import NoiseSource
from atelier.sampling.samplers.algebra import (
    NO_CHURN,
    Churn,
    Denoise,
    OnStep,
    ancestral_split,
    churned,
    midpoint,
    slope,
)
from atelier.sampling.step import StepInfo


def dpm_2(
    denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: NoiseSource, on_step: OnStep, churn: Churn = NO_CHURN
) -> Tensor:
    """DPM-Solver-2 with the churn of Karras et al. 2022."""
    for i in range(len(sigmas) - 1):
        x, sigma = churned(x, sigmas, i, churn, noise)
        denoised = denoise(x, sigma)
        on_step(StepInfo(i, float(sigmas[i]), denoised))
        x = _dpm_2_step(denoise, x, denoised, sigma, sigmas[i + 1])
    return x


def dpm_2_ancestral(
    denoise: Denoise,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    on_step: OnStep,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """DPM-Solver-2 to below the next sigma, then fresh noise up to it."""
    for i in range(len(sigmas) - 1):
        denoised = denoise(x, sigmas[i])
        on_step(StepInfo(i, float(sigmas[i]), denoised))
        down, up = ancestral_split(sigmas[i], sigmas[i + 1], eta)
        x = _dpm_2_step(denoise, x, denoised, sigmas[i], down)
        if down > 0:
            x = x + noise(sigmas[i], sigmas[i + 1]) * s_noise * up
    return x


def _dpm_2_step(denoise: Denoise, x: Tensor, denoised: Tensor, sigma: Tensor, sigma_next: Tensor) -> Tensor:
    d = slope(x, sigma, denoised)
    if sigma_next == 0:
        return x + d * (sigma_next - sigma)
    middle = midpoint(sigma, sigma_next)
    x_2 = x + d * (middle - sigma)
    d_2 = slope(x_2, middle, denoise(x_2, middle))
    return x + d_2 * (sigma_next - sigma)


def dpmpp_2s_ancestral(
    denoise: Denoise,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    on_step: OnStep,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """DPM-Solver++(2S) to below the next sigma, then fresh noise up to it."""
    for i in range(len(sigmas) - 1):
        denoised = denoise(x, sigmas[i])
        on_step(StepInfo(i, float(sigmas[i]), denoised))
        down, up = ancestral_split(sigmas[i], sigmas[i + 1], eta)
        if down == 0:
            x = x + slope(x, sigmas[i], denoised) * (down - sigmas[i])
        else:
            middle = midpoint(sigmas[i], down)
            h = sigmas[i].log() - down.log()
            x_2 = (middle / sigmas[i]) * x - (-h / 2).expm1() * denoised
            x = (down / sigmas[i]) * x - (-h).expm1() * denoise(x_2, middle)
        if sigmas[i + 1] > 0:
            x = x + noise(sigmas[i], sigmas[i + 1]) * s_noise * up
    return x


def dpmpp_sde(
    denoise: Denoise,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    on_step: OnStep,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """Stochastic DPM-Solver++ with a midpoint halfway in log sigma. `noise` must be a Brownian path."""
    for i in range(len(sigmas) - 1):
        sigma, sigma_next = sigmas[i], sigmas[i + 1]
        denoised = denoise(x, sigma)
        on_step(StepInfo(i, float(sigma), denoised))
        if sigma_next == 0:
            x = x + slope(x, sigma, denoised) * (sigma_next - sigma)
            continue
        middle = midpoint(sigma, sigma_next)
        down, up = ancestral_split(sigma, middle, eta)
        x_2 = (down / sigma) * x - _expm1_of_ratio(down, sigma) * denoised
        x_2 = x_2 + noise(sigma, middle) * s_noise * up
        # At half the step the second guess replaces the first entirely.
        denoised_2 = denoise(x_2, middle)
        down, up = ancestral_split(sigma, sigma_next, eta)
        x = (down / sigma) * x - _expm1_of_ratio(down, sigma) * denoised_2
        x = x + noise(sigma, sigma_next) * s_noise * up
    return x


def _expm1_of_ratio(down: Tensor, sigma: Tensor) -> Tensor:
    return torch.expm1(down.log() - sigma.log())
