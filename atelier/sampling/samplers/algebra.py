"""Small pieces that several samplers share: slopes, the ancestral split, churn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from atelier.sampling.noise import NoiseSource
from atelier.sampling.step import StepInfo

Denoise = Callable[[Tensor, Tensor], Tensor]  # x [B, C, H, W], sigma [] or [B] -> denoised [B, C, H, W]
DenoisePair = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # as Denoise; guided, and by the negative text alone
EpsModel = Callable[[Tensor, float], Tensor]  # x [B, C, H, W], timestep -> noise [B, C, H, W]
EpsPair = Callable[[Tensor, float], tuple[Tensor, Tensor]]
OnStep = Callable[[StepInfo], None]


@dataclass(frozen=True)
class Churn:
    """Noise that is added before a step, of Karras et al. 2022: `amount` over all steps, between two sigmas."""

    amount: float = 0.0
    low: float = 0.0
    high: float = float("inf")
    noise: float = 1.0


NO_CHURN = Churn()


def slope(x: Tensor, sigma: Tensor, denoised: Tensor) -> Tensor:
    """dx / dsigma of the probability flow."""
    return (x - denoised) / sigma


def ancestral_split(sigma: Tensor, sigma_next: Tensor, eta: float) -> tuple[Tensor, Tensor]:
    """Down to which sigma to step, and how much noise to add, to arrive at `sigma_next`."""
    if not eta:
        return sigma_next, torch.zeros_like(sigma_next)
    up = torch.minimum(sigma_next, eta * (sigma_next**2 * (sigma**2 - sigma_next**2) / sigma**2) ** 0.5)
    return (sigma_next**2 - up**2) ** 0.5, up


def churned(x: Tensor, sigmas: Tensor, i: int, churn: Churn, noise: NoiseSource) -> tuple[Tensor, Tensor]:
    """x and its sigma after the noise of step i was added."""
    sigma = sigmas[i]
    if churn.amount <= 0:
        return x, sigma
    # Drawn even outside the range, so that the range does not move the noise of later steps.
    drawn = noise(sigma, sigmas[i + 1])
    if not churn.low <= sigma <= churn.high:
        return x, sigma
    raised = sigma * (1 + min(churn.amount / (len(sigmas) - 1), 2**0.5 - 1))
    return x + drawn * churn.noise * (raised**2 - sigma**2) ** 0.5, raised


def midpoint(sigma: Tensor, sigma_next: Tensor) -> Tensor:
    """Halfway in log sigma."""
    return sigma.log().lerp(sigma_next.log(), 0.5).exp()
