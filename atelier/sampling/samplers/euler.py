"""Euler, Euler a, Heun and HeunPP2: steps along the slope of the probability flow (Karras et al. 2022)."""

from __future__ import annotations

from torch import Tensor

from atelier.sampling.noise import NoiseSource
from atelier.sampling.samplers.algebra import NO_CHURN, Churn, Denoise, OnStep, ancestral_split, churned, slope
from atelier.sampling.step import StepInfo


def euler(
    denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: NoiseSource, on_step: OnStep, churn: Churn = NO_CHURN
) -> Tensor:
    """Algorithm 2 of Karras et al. 2022 without its correction."""
    for i in range(len(sigmas) - 1):
        x, sigma = churned(x, sigmas, i, churn, noise)
        denoised = denoise(x, sigma)
        on_step(StepInfo(i, float(sigmas[i]), denoised))
        x = x + slope(x, sigma, denoised) * (sigmas[i + 1] - sigma)
    return x


def euler_ancestral(
    denoise: Denoise,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    on_step: OnStep,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """Euler steps to below the next sigma, then fresh noise up to it."""
    for i in range(len(sigmas) - 1):
        denoised = denoise(x, sigmas[i])
        on_step(StepInfo(i, float(sigmas[i]), denoised))
        down, up = ancestral_split(sigmas[i], sigmas[i + 1], eta)
        x = x + slope(x, sigmas[i], denoised) * (down - sigmas[i])
        if sigmas[i + 1] > 0:
            x = x + noise(sigmas[i], sigmas[i + 1]) * s_noise * up
    return x


def heun_step(denoise: Denoise, x: Tensor, denoised: Tensor, sigma: Tensor, sigma_next: Tensor) -> Tensor:
    """One step with the mean of the slopes at both ends; to zero, where there is no second slope, an Euler step."""
    d = slope(x, sigma, denoised)
    x_2 = x + d * (sigma_next - sigma)
    if sigma_next == 0:
        return x_2
    d_2 = slope(x_2, sigma_next, denoise(x_2, sigma_next))
    return x + (d + d_2) / 2 * (sigma_next - sigma)


def heun(
    denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: NoiseSource, on_step: OnStep, churn: Churn = NO_CHURN
) -> Tensor:
    """Algorithm 2 of Karras et al. 2022."""
    for i in range(len(sigmas) - 1):
        x, sigma = churned(x, sigmas, i, churn, noise)
        denoised = denoise(x, sigma)
        on_step(StepInfo(i, float(sigmas[i]), denoised))
        x = heun_step(denoise, x, denoised, sigma, sigmas[i + 1])
    return x


def heunpp2(
    denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: NoiseSource, on_step: OnStep, churn: Churn = NO_CHURN
) -> Tensor:
    """Heun++: looks one or two steps ahead and weighs the slopes there by their sigma (Carzit, MIT).

    Three calls a step, two in the last but one, one in the last.
    """
    for i in range(len(sigmas) - 1):
        x, sigma = churned(x, sigmas, i, churn, noise)
        denoised = denoise(x, sigma)
        on_step(StepInfo(i, float(sigmas[i]), denoised))
        slopes, ahead, place = [slope(x, sigma, denoised)], x, sigma
        for goal in [level for level in sigmas[i + 1 : i + 3] if level > 0]:
            ahead = ahead + slopes[-1] * (goal - place)
            slopes.append(slope(ahead, goal, denoise(ahead, goal)))
            place = goal
        shares = [level / (len(slopes) * sigmas[0]) for level in sigmas[i + 1 : i + len(slopes)]]
        mixed = slopes[0] * (1 - sum(shares))
        for d, share in zip(slopes[1:], shares):
            mixed = mixed + d * share
        x = x + mixed * (sigmas[i + 1] - sigma)
    return x
