"""LMS, DPM++ 2M, 2M SDE and 3M SDE: samplers that remember earlier guesses instead of asking twice."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from atelier.sampling.noise import NoiseSource
from atelier.sampling.samplers.algebra import Denoise, OnStep, slope
from atelier.sampling.step import StepInfo


def lms(denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: NoiseSource, on_step: OnStep, order: int = 4) -> Tensor:
    """Linear multistep (Adams-Bashforth) over uneven sigmas."""
    points = sigmas.double().cpu().numpy()
    slopes: list[Tensor] = []
    for i in range(len(sigmas) - 1):
        denoised = denoise(x, sigmas[i])
        on_step(StepInfo(i, float(sigmas[i]), denoised))
        slopes = [slope(x, sigmas[i], denoised), *slopes[: order - 1]]
        for d, weight in zip(slopes, _adams_weights(points, i, len(slopes))):
            x = x + weight * d
    return x


def _adams_weights(points: np.ndarray, i: int, order: int) -> list[float]:
    """Integrals over the step from point i to the next of the Lagrange polynomials through the last `order` points."""
    known = points[i::-1][:order]
    weights = []
    for j in range(order):
        others = np.delete(known, j)
        basis = np.poly1d(others, r=True) / float(np.prod(known[j] - others))
        integral = np.polyint(basis)
        weights.append(float(integral(points[i + 1]) - integral(points[i])))
    return weights


def dpmpp_2m(denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: NoiseSource, on_step: OnStep) -> Tensor:
    """DPM-Solver++(2M), Lu et al. 2022."""
    previous, h_previous = None, None
    for i in range(len(sigmas) - 1):
        sigma, sigma_next = sigmas[i], sigmas[i + 1]
        denoised = denoise(x, sigma)
        on_step(StepInfo(i, float(sigma), denoised))
        h = sigma.log() - sigma_next.log()
        if previous is None or sigma_next == 0:
            guess = denoised
        else:
            r = h_previous / h
            guess = (1 + 1 / (2 * r)) * denoised - (1 / (2 * r)) * previous
        x = (sigma_next / sigma) * x - (-h).expm1() * guess
        previous, h_previous = denoised, h
    return x


def dpmpp_2m_sde(
    denoise: Denoise,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    on_step: OnStep,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """Stochastic DPM-Solver++(2M) with the midpoint rule. `noise` must be a Brownian path."""
    previous, h_previous = None, None
    for i in range(len(sigmas) - 1):
        denoised = denoise(x, sigmas[i])
        on_step(StepInfo(i, float(sigmas[i]), denoised))
        if sigmas[i + 1] == 0:
            return denoised
        h = sigmas[i].log() - sigmas[i + 1].log()
        x = _sde_first_order(x, denoised, sigmas, i, eta)
        if previous is not None:
            x = x - 0.5 * (-h - eta * h).expm1() * (h / h_previous) * (denoised - previous)
        x = _sde_noise(x, sigmas, i, noise, eta, s_noise)
        previous, h_previous = denoised, h
    return x


def dpmpp_2m_sde_heun(
    denoise: Denoise,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    on_step: OnStep,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """Stochastic DPM-Solver++(2M) with the rule of Heun. `noise` must be a Brownian path."""
    previous, h_previous = None, None
    for i in range(len(sigmas) - 1):
        denoised = denoise(x, sigmas[i])
        on_step(StepInfo(i, float(sigmas[i]), denoised))
        if sigmas[i + 1] == 0:
            return denoised
        h = sigmas[i].log() - sigmas[i + 1].log()
        x = _sde_first_order(x, denoised, sigmas, i, eta)
        if previous is not None:
            x = x + _phi_2(h * (1 + eta)) * (h / h_previous) * (denoised - previous)
        x = _sde_noise(x, sigmas, i, noise, eta, s_noise)
        previous, h_previous = denoised, h
    return x


def dpmpp_3m_sde(
    denoise: Denoise,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    on_step: OnStep,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """Stochastic DPM-Solver++(3M): third order from the third step on. `noise` must be a Brownian path."""
    guesses: list[Tensor] = []
    widths: list[Tensor] = []
    for i in range(len(sigmas) - 1):
        denoised = denoise(x, sigmas[i])
        on_step(StepInfo(i, float(sigmas[i]), denoised))
        if sigmas[i + 1] == 0:
            return denoised
        h = sigmas[i].log() - sigmas[i + 1].log()
        x = _sde_first_order(x, denoised, sigmas, i, eta)
        phi_2 = _phi_2(h * (1 + eta))
        if len(guesses) == 2:
            r0, r1 = widths[0] / h, widths[1] / h
            first, second = (denoised - guesses[0]) / r0, (guesses[0] - guesses[1]) / r1
            bend = (first - second) / (r0 + r1)
            x = x + phi_2 * (first + bend * r0) - (phi_2 / (h * (1 + eta)) - 0.5) * bend
        elif guesses:
            x = x + phi_2 * (denoised - guesses[0]) * (h / widths[0])
        x = _sde_noise(x, sigmas, i, noise, eta, s_noise)
        guesses, widths = [denoised, *guesses[:1]], [h, *widths[:1]]
    return x


def _sde_first_order(x: Tensor, denoised: Tensor, sigmas: Tensor, i: int, eta: float) -> Tensor:
    h = sigmas[i].log() - sigmas[i + 1].log()
    return sigmas[i + 1] / sigmas[i] * (-eta * h).exp() * x - (-h - eta * h).expm1() * denoised


def _sde_noise(x: Tensor, sigmas: Tensor, i: int, noise: NoiseSource, eta: float, s_noise: float) -> Tensor:
    if not eta:
        return x
    h = sigmas[i].log() - sigmas[i + 1].log()
    spread = sigmas[i + 1] * (-(-2 * eta * h).expm1()).sqrt()
    return x + noise(sigmas[i], sigmas[i + 1]) * spread * s_noise


def _phi_2(h: Tensor) -> Tensor:
    return torch.expm1(-h) / h + 1
