"""Schedules: the noise levels at which a picture is looked at, from the highest down."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from scipy.special import betaincinv
from torch import Tensor

from atelier.sampling.prediction import Prediction

# Tables published with "Align Your Steps" (Sabour et al. 2024) for 10 steps.
STEPS_SD1 = (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029)
STEPS_SDXL = (14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029)
# Tables that came with Forge: for 32 steps, and by the method of GITS (Chen et al. 2024).
STEPS_32_SD1 = (
    14.615, 11.2395135, 8.6436308, 6.6472942, 5.5725086, 4.7164855, 3.9919607, 3.5195609, 3.1349047, 2.7922879,
    2.4877363, 2.2166387, 1.9750835, 1.7793172, 1.6147534, 1.4654095, 1.314849, 1.166425, 1.0347555, 0.9157374,
    0.8074817, 0.7120236, 0.621739, 0.530652, 0.4529096, 0.3749146, 0.2746182, 0.2011529, 0.1410587, 0.0668288,
    0.0316612, 0.015,
)  # fmt: skip
STEPS_32_SDXL = (
    14.615, 11.1491618, 8.5052213, 6.4882715, 5.437074, 4.6039862, 3.898547, 3.2740746, 2.7439653, 2.2996866,
    1.9544851, 1.6710872, 1.4287815, 1.2318101, 1.0678965, 0.9257944, 0.8029089, 0.6966012, 0.604369, 0.5285255,
    0.4677334, 0.4139338, 0.3625819, 0.3100852, 0.2651893, 0.2232646, 0.1765388, 0.1395919, 0.1058738, 0.0551937,
    0.0287733, 0.015,
)  # fmt: skip
GITS_SD1 = (14.615, 4.617, 2.507, 1.236, 0.702, 0.402, 0.240, 0.156, 0.104, 0.094, 0.029)
GITS_SDXL = (14.615, 4.734, 2.567, 1.529, 0.987, 0.652, 0.418, 0.268, 0.179, 0.127, 0.029)
#: timesteps on which trajectory consistency models were distilled
TCD_POINTS = 50


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
    return _from_table(STEPS_SDXL if table == "sdxl" else STEPS_SD1, n)


def align_your_steps_32(n: int, sigma_min: float, sigma_max: float, table: str = "sd1") -> Tensor:
    """The same from a table of 32 steps."""
    return _from_table(STEPS_32_SDXL if table == "sdxl" else STEPS_32_SD1, n)


def gits(n: int, sigma_min: float, sigma_max: float, table: str = "sd1") -> Tensor:
    """The same from a table found by the geometry of the paths (Chen et al. 2024)."""
    return _from_table(GITS_SDXL if table == "sdxl" else GITS_SD1, n)


def _from_table(falling: Sequence[float], n: int) -> Tensor:
    rising = np.array(falling[::-1])
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


def beta57(n: int, sigma_min: float, sigma_max: float, prediction: Prediction) -> Tensor:
    """Quantiles of Beta(0.5, 0.7) over timesteps, as the paper has it (Lee et al. 2024); equal ones are taken once."""
    last = len(prediction.sigmas) - 1
    quantiles = betaincinv(0.5, 0.7, 1 - np.linspace(0, 1, n, endpoint=False))
    places = dict.fromkeys(np.rint(quantiles * last).astype(int).tolist())
    return with_zero(prediction.sigmas[list(places)])


def turbo(n: int, sigma_min: float, sigma_max: float, prediction: Prediction) -> Tensor:
    """Timesteps evenly from the last, none at the first: "trailing" spacing (Lin et al. 2023), on which models of few
    steps were distilled."""
    table = prediction.sigmas
    places = [round(i * len(table) / n) - 1 for i in range(n, 0, -1)]
    return with_zero(table[[min(max(place, 0), len(table) - 1) for place in places]])


def linear_quadratic(n: int, sigma_min: float, sigma_max: float, threshold: float = 0.025) -> Tensor:
    """Half of the steps walk the first 2.5 % of the way evenly, the others the rest by a parabola (Movie Gen, Polyak
    et al. 2024; the formula of Mochi)."""
    half = n // 2
    if half == 0:
        return with_zero(torch.tensor([sigma_max]))
    even = np.arange(half) * threshold / half
    bend = (half - threshold * n) / (half * (n - half) ** 2)
    place = np.arange(half, n)
    curve = bend * place**2 + (threshold / half - 2 * bend * half) * place + bend * half**2
    return with_zero(torch.tensor(1 - np.concatenate([even, curve])) * sigma_max)


def bong_tangent(n: int, sigma_min: float, sigma_max: float) -> Tensor:
    """Two arc tangents that meet halfway in sigma at 60 % of the steps; ClownsharkBatwing's curve, by the formula of
    stable-diffusion.cpp."""
    if n == 1:
        return with_zero(torch.tensor([sigma_max]))
    steps = n + 2
    pivot = int(steps * 0.6)
    middle = (sigma_max + sigma_min) / 2
    first = _arc(pivot, pivot, 8 / steps, sigma_max, middle)
    second = _arc(steps - pivot, 0, 8 / steps, middle, sigma_min)
    return with_zero(torch.tensor([*first[:-1], *second][:n]))


def _arc(count: int, pivot: int, steepness: float, start: float, end: float) -> list[float]:
    """`count` points of an arc tangent around `pivot`, stretched to go from `start` to `end`."""
    curve = -np.arctan(steepness * (np.arange(count) - pivot))
    return ((curve - curve[-1]) / (curve[0] - curve[-1]) * (start - end) + end).tolist()


def laplace(n: int, sigma_min: float, sigma_max: float, mean: float = 0.0, width: float = 0.5) -> Tensor:
    """Quantiles of a Laplace distribution of log sigma, cut off at the range's ends (Hang et al. 2024)."""
    place = torch.linspace(0, 1, n, dtype=torch.float64)
    spread = torch.log(1 - 2 * (0.5 - place).abs() + 1e-5)
    return with_zero((mean - width * torch.sign(0.5 - place) * spread).exp().clamp(sigma_min, sigma_max))


def consistency(n: int, sigma_min: float, sigma_max: float, prediction: Prediction) -> Tensor:
    """The timesteps on which a latent consistency model was distilled, evenly from the last to the first."""
    return normal(n, prediction.sigma_min, prediction.sigma_max, prediction)


def trajectory(n: int, sigma_min: float, sigma_max: float, prediction: Prediction) -> Tensor:
    """The timesteps of TCD (Zheng et al. 2024) as diffusers' TCDScheduler has them: even places in a list of 50 from
    the last on, cut down to whole ones. More than 50 steps are spaced as those of Turbo."""
    table = prediction.sigmas
    stride = len(table) // TCD_POINTS
    if n > TCD_POINTS or stride < 1:
        return turbo(n, sigma_min, sigma_max, prediction)
    return with_zero(table[[stride * (TCD_POINTS - i * TCD_POINTS // n) - 1 for i in range(n)]])


def without_second_last(sigmas: Tensor) -> Tensor:  # [n + 1] -> [n]
    """Drops the lowest sigma above zero; some samplers do better without that last small step."""
    return torch.cat([sigmas[:-2], sigmas[-1:]]) if len(sigmas) > 2 else sigmas


def ddim_timesteps(n: int, table_length: int = 1000) -> tuple[int, ...]:
    """Rising timesteps of the samplers over timesteps. Whole strides: 30 steps give 31 of them."""
    return tuple(min(t + 1, table_length - 1) for t in range(0, table_length, table_length // n))
