"""DDPM, ER-SDE and SA-Solver: samplers of the reverse process with noise of their own amount."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from torch import Tensor

from atelier.sampling.noise import NoiseSource
from atelier.sampling.samplers.algebra import Denoise, OnStep
from atelier.sampling.samplers.quadrature import step_weights
from atelier.sampling.step import StepInfo

#: SA-Solver adds noise between these levels only: timesteps 200 to 800 of 1000 for Stable Diffusion
TAU_LOW, TAU_HIGH = 0.5717, 5.111
PREDICTOR_ORDER, CORRECTOR_ORDER = 3, 4


def ddpm(
    denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: NoiseSource, on_step: OnStep, s_noise: float = 1.0
) -> Tensor:
    """Denoising diffusion probabilistic models: a draw from the posterior of the next level, equations 6 and 7 of Ho
    et al. 2020, in terms of sigma. The same law as Euler a with eta 1."""
    for i in range(len(sigmas) - 1):
        sigma, sigma_next = sigmas[i], sigmas[i + 1]
        denoised = denoise(x, sigma)
        on_step(StepInfo(i, float(sigma), denoised))
        ratio = (sigma_next / sigma) ** 2
        x = ratio * x + (1 - ratio) * denoised
        if sigma_next > 0:
            x = x + noise(sigma, sigma_next) * s_noise * sigma_next * (1 - ratio) ** 0.5
    return x


def noise_scale(sigma: np.ndarray) -> np.ndarray:
    """The authors' choice for pictures, "SDE 5" of their appendix."""
    return sigma * (np.exp(sigma**0.3) + 10)


def er_sde(
    denoise: Denoise,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    on_step: OnStep,
    s_noise: float = 1.0,
    scale: Callable[[np.ndarray], np.ndarray] = noise_scale,
) -> Tensor:
    """Extended reverse-time SDE, third order by Taylor's rule (Cui et al. 2023, algorithm 3).

    `scale` is the paper's noise scale function; x -> x gives the ODE, x -> x^2 the reverse SDE.
    """
    levels = [float(sigma) for sigma in sigmas]
    guess, bend = None, None
    for i in range(len(levels) - 1):
        high, low = levels[i], levels[i + 1]
        denoised = denoise(x, sigmas[i])
        on_step(StepInfo(i, high, denoised))
        if low == 0:
            return denoised
        ratio = float(scale(np.float64(low)) / scale(np.float64(high)))
        x = ratio * x + (1 - ratio) * denoised
        if guess is not None:
            first = (denoised - guess) / (high - levels[i - 1])
            x = x + (low - high + _scaled_integral(scale, high, low, 0)) * first
            if bend is not None:
                second = 2 * (first - bend) / (high - levels[i - 2])
                x = x + ((low - high) ** 2 / 2 + _scaled_integral(scale, high, low, 1)) * second
            bend = first
        spread = math.sqrt(max(low**2 - high**2 * ratio**2, 0.0))
        if spread:
            x = x + noise(sigmas[i], sigmas[i + 1]) * s_noise * spread
        guess = denoised
    return x


def _scaled_integral(scale: Callable[[np.ndarray], np.ndarray], high: float, low: float, power: int) -> float:
    """scale(low) times the integral from low to high of (s - high)^power / scale(s)."""
    (whole,) = step_weights([high], low, high, lambda s: (s - high) ** power / scale(s))
    return float(scale(np.float64(low))) * whole


def sa_solver(
    denoise: Denoise,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    on_step: OnStep,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """Stochastic Adams: predicts with three guesses, corrects with four, one call a step (Xue et al. 2023, algorithm
    1). `eta` is the paper's tau in the middle of the way; outside of it no noise is added."""
    return _sa_solver(denoise, x, sigmas, (noise, on_step, eta, s_noise), again=False)


def sa_solver_pece(
    denoise: Denoise,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    on_step: OnStep,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """The same with a second guess after each correction."""
    return _sa_solver(denoise, x, sigmas, (noise, on_step, eta, s_noise), again=True)


def _sa_solver(
    denoise: Denoise, x: Tensor, sigmas: Tensor, told: tuple[NoiseSource, OnStep, float, float], again: bool
) -> Tensor:
    noise, on_step, eta, s_noise = told
    lambdas = [-math.log(float(sigma)) if sigma > 0 else math.inf for sigma in sigmas]
    guesses: list[Tensor] = []
    before, drawn = x, 0.0
    for i in range(len(sigmas) - 1):
        denoised = denoise(x, sigmas[i])
        on_step(StepInfo(i, float(sigmas[i]), denoised))
        if sigmas[i + 1] == 0:
            return denoised
        guesses = [denoised, *guesses[: CORRECTOR_ORDER - 1]]
        if i:
            tau = _tau(float(sigmas[i - 1]), eta)
            x = _adams(before, guesses, lambdas[i::-1], (lambdas[i - 1], lambdas[i]), tau) + drawn
            if again:
                guesses[0] = denoise(x, sigmas[i])
        before, tau = x, _tau(float(sigmas[i]), eta)
        x = _adams(x, guesses[:PREDICTOR_ORDER], lambdas[i::-1], (lambdas[i], lambdas[i + 1]), tau)
        drawn = 0.0
        if tau:
            spread = math.sqrt(-math.expm1(-2 * tau**2 * (lambdas[i + 1] - lambdas[i])))
            drawn = noise(sigmas[i], sigmas[i + 1]) * s_noise * sigmas[i + 1] * spread
            x = x + drawn
    return x


def _tau(sigma: float, eta: float) -> float:
    return eta if TAU_LOW <= sigma <= TAU_HIGH else 0.0


def _adams(x: Tensor, guesses: list[Tensor], points: list[float], step: tuple[float, float], tau: float) -> Tensor:
    """From one log SNR to the next with the polynomial through the guesses at `points`; equations 14 and 17."""
    start, end = step
    rate = 1 + tau**2
    weights = step_weights(points[: len(guesses)], start, end, lambda s: rate * np.exp(-rate * (end - s)))
    x = math.exp(-rate * (end - start)) * x
    for guess, weight in zip(guesses, weights):
        x = x + weight * guess
    return x
