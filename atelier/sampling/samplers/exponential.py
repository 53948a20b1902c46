"""Exponential integrators in log sigma: RES multistep (Zhang et al. 2023) and Heun's rule in exponential form."""

from __future__ import annotations

import torch
from torch import Tensor

from atelier.sampling.noise import NoiseSource
from atelier.sampling.samplers.algebra import Denoise, DenoisePair, OnStep, ancestral_split
from atelier.sampling.step import StepInfo


def res_multistep(denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: NoiseSource, on_step: OnStep) -> Tensor:
    """Refined exponential solver of second order that remembers one guess; section 3 of Zhang et al. 2023."""
    return _res(_twice(denoise), x, sigmas, noise, on_step, 0.0, 1.0)


def res_multistep_ancestral(
    denoise: Denoise,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    on_step: OnStep,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """RES multistep to below the next sigma, then fresh noise up to it."""
    return _res(_twice(denoise), x, sigmas, noise, on_step, eta, s_noise)


def res_multistep_cfgpp(pair: DenoisePair, x: Tensor, sigmas: Tensor, *, noise: NoiseSource, on_step: OnStep) -> Tensor:
    """RES multistep with CFG++ (Chung et al. 2024): guided towards the picture, noised by the unguided guess."""
    return _res(pair, x, sigmas, noise, on_step, 0.0, 1.0)


def res_multistep_ancestral_cfgpp(
    pair: DenoisePair,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    on_step: OnStep,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """Both of the above."""
    return _res(pair, x, sigmas, noise, on_step, eta, s_noise)


def _twice(denoise: Denoise) -> DenoisePair:
    def pair(x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        guess = denoise(x, sigma)
        return guess, guess

    return pair


def _res(
    pair: DenoisePair, x: Tensor, sigmas: Tensor, noise: NoiseSource, on_step: OnStep, eta: float, s_noise: float
) -> Tensor:
    """`pair` gives the guided guess and the one whose noise is kept; without CFG++ both are the same."""
    previous = None
    for i in range(len(sigmas) - 1):
        sigma, sigma_next = sigmas[i], sigmas[i + 1]
        denoised, base = pair(x, sigma)
        on_step(StepInfo(i, float(sigma), denoised))
        if sigma_next == 0:
            return denoised
        down, up = ancestral_split(sigma, sigma_next, eta)
        h = sigma.log() - down.log()
        x = (-h).exp() * (x + denoised - base) - (-h).expm1() * denoised
        if previous is not None and down > 0:
            # The slope of the guesses over log sigma, from this step and the one before.
            distance = (sigmas[i - 1].log() - sigma.log()) / h
            x = x + h * phi_2(-h) / distance * (base - previous)
        if eta:
            x = x + noise(sigma, sigma_next) * s_noise * up
        previous = base
    return x


def exp_heun(denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: NoiseSource, on_step: OnStep) -> Tensor:
    """Exponential Runge-Kutta of second order with nodes 0 and 1 (Hochbruck and Ostermann 2005, tableau 5.3)."""
    for i in range(len(sigmas) - 1):
        sigma, sigma_next = sigmas[i], sigmas[i + 1]
        denoised = denoise(x, sigma)
        on_step(StepInfo(i, float(sigma), denoised))
        if sigma_next == 0:
            return denoised
        h = sigma.log() - sigma_next.log()
        x = (-h).exp() * x - (-h).expm1() * denoised
        x = x + h * phi_2(-h) * (denoise(x, sigma_next) - denoised)
    return x


def phi_2(z: Tensor) -> Tensor:
    """(e^z - 1 - z) / z^2. Small arguments by its series, where the difference would lose all digits."""
    series = 1 / 2 + z / 6 + z**2 / 24 + z**3 / 120
    return torch.where(z.abs() < 1e-2, series, (z.expm1() - z) / z**2)
