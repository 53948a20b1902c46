"""DDIM, DDIM CFG++ and PLMS: samplers over the timesteps of training (Song et al. 2020, Liu et al. 2022)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from atelier.sampling.noise import NoiseSource
from atelier.sampling.samplers.algebra import EpsModel, EpsPair, OnStep
from atelier.sampling.step import StepInfo


def _levels(timesteps: Sequence[int], alphas_cumprod: Tensor, place: int) -> tuple[float, float]:
    """Cumulative alphas at a place of the list and at the one below it."""
    return float(alphas_cumprod[timesteps[place]]), float(alphas_cumprod[timesteps[place - 1]])


def _clean(x: Tensor, eps: Tensor, alpha: float) -> Tensor:
    return (x - (1 - alpha) ** 0.5 * eps) / alpha**0.5


def _sigma(alpha: float) -> float:
    return ((1 - alpha) / alpha) ** 0.5


def ddim(
    eps_model: EpsModel,
    x: Tensor,
    timesteps: Sequence[int],
    *,
    alphas_cumprod: Tensor,
    noise: NoiseSource,
    on_step: OnStep,
    eta: float = 0.0,
) -> Tensor:
    """Denoising diffusion implicit models; equation 12 of Song et al. 2020. The lowest timestep is a goal only."""

    def pair(x: Tensor, t: float) -> tuple[Tensor, Tensor]:
        eps = eps_model(x, t)
        return eps, eps

    return ddim_cfgpp(pair, x, timesteps, alphas_cumprod=alphas_cumprod, noise=noise, on_step=on_step, eta=eta)


def ddim_cfgpp(
    eps_pair: EpsPair,
    x: Tensor,
    timesteps: Sequence[int],
    *,
    alphas_cumprod: Tensor,
    noise: NoiseSource,
    on_step: OnStep,
    eta: float = 0.0,
) -> Tensor:
    """CFG++ (Chung et al. 2024): guided towards the picture, but noised again by the unguided guess."""
    for i, place in enumerate(range(len(timesteps) - 1, 0, -1)):
        alpha, alpha_next = _levels(timesteps, alphas_cumprod, place)
        eps, eps_uncond = eps_pair(x, timesteps[place])
        clean = _clean(x, eps, alpha)
        on_step(StepInfo(i, _sigma(alpha), clean))
        spread = eta * ((1 - alpha_next) / (1 - alpha) * (1 - alpha / alpha_next)) ** 0.5
        x = alpha_next**0.5 * clean + (1 - alpha_next - spread**2) ** 0.5 * eps_uncond
        if spread:
            x = x + spread * noise(_sigma(alpha), _sigma(alpha_next))
    return x


def plms(
    eps_model: EpsModel,
    x: Tensor,
    timesteps: Sequence[int],
    *,
    alphas_cumprod: Tensor,
    noise: NoiseSource,
    on_step: OnStep,
) -> Tensor:
    """Pseudo linear multistep: an improved Euler step first, then Adams-Bashforth of order 2, 3 and 4 on the noise."""
    old: list[Tensor] = []
    for i, place in enumerate(range(len(timesteps) - 1, 0, -1)):
        alpha, alpha_next = _levels(timesteps, alphas_cumprod, place)
        eps = eps_model(x, timesteps[place])
        if not old:
            ahead = alpha_next**0.5 * _clean(x, eps, alpha) + (1 - alpha_next) ** 0.5 * eps
            mixed = (eps + eps_model(ahead, timesteps[place - 1])) / 2
        elif len(old) == 1:
            mixed = (3 * eps - old[0]) / 2
        elif len(old) == 2:
            mixed = (23 * eps - 16 * old[0] + 5 * old[1]) / 12
        else:
            mixed = (55 * eps - 59 * old[0] + 37 * old[1] - 9 * old[2]) / 24
        clean = _clean(x, mixed, alpha)
        on_step(StepInfo(i, _sigma(alpha), clean))
        x = alpha_next**0.5 * clean + (1 - alpha_next) ** 0.5 * mixed
        old = [eps, *old[:2]]
    return x
