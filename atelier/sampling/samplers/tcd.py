"""TCD: jumps along the trajectory of a consistency model that knows where it is (Zheng et al. 2024)."""

from __future__ import annotations

import torch
from torch import Tensor

from atelier.sampling.noise import NoiseSource
from atelier.sampling.prediction import Prediction
from atelier.sampling.samplers.algebra import Denoise, OnStep, slope
from atelier.sampling.step import StepInfo


def tcd(
    denoise: Denoise,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    on_step: OnStep,
    prediction: Prediction,
    gamma: float = 0.3,
) -> Tensor:
    """Strategic stochastic sampling, algorithm 4 of "Trajectory Consistency Distillation", as diffusers' TCDScheduler
    (Apache-2.0) has it.

    For a next timestep t the probability flow is followed down to s = floor((1 - gamma) t), and noise leads back up
    to t. `gamma` 0 is without noise, 1 is the multistep sampling of consistency models; outside it acts as its limit.
    """
    for i in range(len(sigmas) - 1):
        denoised = denoise(x, sigmas[i])
        on_step(StepInfo(i, float(sigmas[i]), denoised))
        low = _below(sigmas[i + 1], gamma, prediction)
        x = denoised + slope(x, sigmas[i], denoised) * low
        up = (sigmas[i + 1] ** 2 - low**2).clamp_min(0) ** 0.5
        if up > 0:
            x = x + up * noise(sigmas[i], sigmas[i + 1])
    return x


def _below(sigma: Tensor, gamma: float, prediction: Prediction) -> Tensor:
    """Sigma of the timestep to which the flow is followed, never above `sigma`."""
    if sigma <= 0 or gamma <= 0:
        return sigma
    # Whole timesteps, as they were trained; rounded, since a sigma's timestep is right to a few digits only.
    timestep = prediction.sigma_to_t(sigma.reshape(1)).round()
    return torch.minimum(prediction.t_to_sigma(((1 - gamma) * timestep).floor())[0].to(sigma), sigma)
