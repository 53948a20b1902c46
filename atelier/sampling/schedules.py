"""Schedules: the noise levels at which a picture is looked at, from the highest down."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.special import betaincinv
from torch import Tensor

from atelier.sampling.prediction import Prediction

# Tables published with "Align Your Steps" (Sabour et al. 2024) for 10 steps.
STEPS_SD1 = (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029)
STEPS_SDXL = (14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029)


def with_zero(sigmas: Tensor) -> Tensor:  # [n] -> [n + 1]
    return torch.cat([sigmas.float(), torch.zeros(1)])


def uniform(n: int, sigma_min: float, sigma_max: float, prediction: Prediction) -> Tensor:
    """Timesteps evenly from the last to the first; the range of sigma is always the model's."""
    return with_zero(prediction.t_to_sigma(_evenly(prediction.sigmas[-1:], prediction.sigmas[:1], n, prediction)))


def karras(n: int, sigma_min: float, sigma_max: float, rho: float = 7.0) -> Tensor:
    """Even in sigma^(1/rho); equation 5 of Karras et al. 2022."""
    ramp = torch.linspace(0, 1, n)
    low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    return with_zero((high + ramp * (low - high)) ** rho)


def exponential(n: int, sigma_min: float, sigma_max: float) -> Tensor:
    """Even in log sigma."""
    return with_zero(torch.linspace(math.log(sigma_max), math.log(sigma_min), n).exp())


def polyexponential(n: int, sigma_min: float, sigma_max: float, rho: float = 1.0) -> Tensor:
    """A power of an even ramp, in log sigma."""
    ramp = torch.linspace(1, 0, n) ** rho
    return with_zero((ramp * (math.log(sigma_max) - math.log(sigma_min)) + math.log(sigma_min)).exp())


def sgm_uniform(n: int, sigma_min: float, sigma_max: float, prediction: Prediction) -> Tensor:
    """Even in timestep without the last point, as Stability's own code trains and samples."""
    high, low = torch.tensor([sigma_max]), torch.tensor([sigma_min])
    return with_zero(prediction.t_to_sigma(_evenly(high, low, n + 1, prediction)[:-1]))


def normal(n: int, sigma_min: float, sigma_max: float, prediction: Prediction) -> Tensor:
    """Even in timestep, both ends included."""
    high, low = torch.tensor([sigma_max]), torch.tensor([sigma_min])
    return with_zero(prediction.t_to_sigma(_evenly(high, low, n, prediction)))


def _evenly(high: Tensor, low: Tensor, n: int, prediction: Prediction) -> Tensor:  # [n] timesteps
    return torch.linspace(float(prediction.sigma_to_t(high)), float(prediction.sigma_to_t(low)), n)


def kl_optimal(n: int, sigma_min: float, sigma_max: float) -> Tensor:
    """Even in the arc tangent of sigma (Sabour et al. 2024, KL bound). Ends at sigma_min, without a zero."""
    share = torch.arange(n + 1).float() / n
    return torch.tan(share * math.atan(sigma_min) + (1 - share) * math.atan(sigma_max))


def align_your_steps(n: int, sigma_min: float, sigma_max: float, table: str = "sd1") -> Tensor:
    """The published table for `sd1` or `sdxl`, between its points even in log sigma."""
    rising = np.array((STEPS_SDXL if table == "sdxl" else STEPS_SD1)[::-1])
    if n == len(rising):
        return with_zero(torch.tensor(rising[::-1].copy()))
    between = np.interp(np.linspace(0, 1, n), np.linspace(0, 1, len(rising)), np.log(rising))
    return with_zero(torch.tensor(np.exp(between)[::-1].copy()))


def simple(n: int, sigma_min: float, sigma_max: float, prediction: Prediction) -> Tensor:
    """Entries of the model's own table at even distances, counted from the top."""
    table = prediction.sigmas
    return with_zero(table[[-(1 + int(i * len(table) / n)) for i in range(n)]])


def ddim(n: int, sigma_min: float, sigma_max: float, prediction: Prediction) -> Tensor:
    """Every (1000 // n)-th entry of the model's table from the second on. May give more than n entries."""
    table = prediction.sigmas
    return with_zero(table[1 :: max(len(table) // n, 1)].flip(0))


def beta(n: int, sigma_min: float, sigma_max: float, alpha: float = 0.6, beta: float = 0.6) -> Tensor:
    """Quantiles of a beta distribution (Lee et al. 2024), spread over sigma."""
    quantiles = torch.tensor(betaincinv(alpha, beta, 1 - np.linspace(0, 1, n)))
    return with_zero(sigma_min + quantiles * (sigma_max - sigma_min))


def consistency(n: int, sigma_min: float, sigma_max: float, prediction: Prediction) -> Tensor:
    """The timesteps on which a latent consistency model was distilled, evenly from the last to the first."""
    return normal(n, prediction.sigma_min, prediction.sigma_max, prediction)


def without_second_last(sigmas: Tensor) -> Tensor:  # [n + 1] -> [n]
    """Drops the lowest sigma above zero; some samplers do better without that last small step."""
    return torch.cat([sigmas[:-2], sigmas[-1:]]) if len(sigmas) > 2 else sigmas


def ddim_timesteps(n: int, table_length: int = 1000) -> tuple[int, ...]:
    """Rising timesteps of the samplers over timesteps. Whole strides: 30 steps give 31 of them."""
    return tuple(min(t + 1, table_length - 1) for t in range(0, table_length, table_length // n))
