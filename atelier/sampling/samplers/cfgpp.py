"""CFG++ (Chung et al. 2024) over sigma: guided towards the picture, noised again by the unguided guess.

The slopes of these samplers follow the guess without a prompt, so usual scales are far too strong: they want 0.5 to 2.
"""

from __future__ import annotations

from torch import Tensor

from atelier.sampling.noise import NoiseSource
from atelier.sampling.samplers.algebra import DenoisePair, OnStep, ancestral_split, midpoint, slope
from atelier.sampling.step import StepInfo


def euler_cfgpp(pair: DenoisePair, x: Tensor, sigmas: Tensor, *, noise: NoiseSource, on_step: OnStep) -> Tensor:
    """Algorithm 1 of the paper, in terms of sigma."""
    return euler_ancestral_cfgpp(pair, x, sigmas, noise=noise, on_step=on_step, eta=0.0)


def euler_ancestral_cfgpp(
    pair: DenoisePair,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    on_step: OnStep,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """The same to below the next sigma, then fresh noise up to it."""
    for i in range(len(sigmas) - 1):
        denoised, base = pair(x, sigmas[i])
        on_step(StepInfo(i, float(sigmas[i]), denoised))
        down, up = ancestral_split(sigmas[i], sigmas[i + 1], eta)
        x = denoised + slope(x, sigmas[i], base) * down
        if sigmas[i + 1] > 0 and eta:
            x = x + noise(sigmas[i], sigmas[i + 1]) * s_noise * up
    return x


def dpmpp_2m_cfgpp(pair: DenoisePair, x: Tensor, sigmas: Tensor, *, noise: NoiseSource, on_step: OnStep) -> Tensor:
    """DPM-Solver++(2M) whose memory is of guesses without a prompt; appendix of the paper."""
    previous, h_previous = None, None
    for i in range(len(sigmas) - 1):
        sigma, sigma_next = sigmas[i], sigmas[i + 1]
        denoised, base = pair(x, sigma)
        on_step(StepInfo(i, float(sigma), denoised))
        if sigma_next == 0:
            return denoised
        h = sigma.log() - sigma_next.log()
        x = denoised + slope(x, sigma, base) * sigma_next
        if previous is not None:
            x = x - (-h).expm1() * (h / h_previous) / 2 * (base - previous)
        previous, h_previous = base, h
    return x


def dpmpp_2s_ancestral_cfgpp(
    pair: DenoisePair,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    on_step: OnStep,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """DPM-Solver++(2S) from x with its clean part replaced by the guided guess; appendix of the paper."""
    for i in range(len(sigmas) - 1):
        denoised, base = pair(x, sigmas[i])
        on_step(StepInfo(i, float(sigmas[i]), denoised))
        down, up = ancestral_split(sigmas[i], sigmas[i + 1], eta)
        x = x + denoised - base
        if down == 0:
            x = x + slope(x, sigmas[i], denoised) * (down - sigmas[i])
        else:
            middle = midpoint(sigmas[i], down)
            h = sigmas[i].log() - down.log()
            halfway = (middle / sigmas[i]) * x - (-h / 2).expm1() * denoised
            x = (down / sigmas[i]) * x - (-h).expm1() * pair(halfway, middle)[0]
        if sigmas[i + 1] > 0 and eta:
            x = x + noise(sigmas[i], sigmas[i + 1]) * s_noise * up
    return x
