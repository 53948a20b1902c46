"""UniPC: a predictor and corrector of any order in one multistep scheme (Zhao et al. 2023)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from atelier.base.errors import BadRequest
from atelier.sampling.noise import NoiseSource
from atelier.sampling.samplers.algebra import EpsModel, OnStep
from atelier.sampling.step import StepInfo

VARIANTS = ("bh1", "bh2", "vary_coeff")
SKIPS = ("time_uniform", "time_quadratic", "logSNR")


@dataclass(frozen=True)
class UniPCOptions:
    """`order` is lowered where there are not more steps than that. `skip` says how times are spread.

    `start` is the time in 0..1 at which the way begins: 1 from noise, (t + 1) / 1000 where a picture is changed.
    """

    variant: str = "bh1"
    skip: str = "time_uniform"
    order: int = 3
    lower_order_final: bool = True
    start: float = 1.0

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS:
            raise BadRequest("settings.uni_pc_variant", f"{self.variant!r} is not known.", remedy=", ".join(VARIANTS))
        if self.skip not in SKIPS:
            raise BadRequest("settings.uni_pc_skip_type", f"{self.skip!r} is not known.", remedy=", ".join(SKIPS))
        if not 1 <= self.order <= 50:
            raise BadRequest("settings.uni_pc_order", f"{self.order} is out of range.", remedy="1 to 50.")


@dataclass(frozen=True)
class _Point:
    """A place on the way: time in 0..1, and alpha, sigma and half log SNR of the variance preserving process."""

    time: float
    alpha: float
    sigma: float
    log_snr: float


class _Times:
    """The discrete table as a process in continuous time: entry k stands at time (k + 1) / N."""

    def __init__(self, alphas_cumprod: Tensor) -> None:
        self.log_alphas = 0.5 * alphas_cumprod.double().log().numpy()
        self.count = len(self.log_alphas)
        self.times = np.linspace(0, 1, self.count + 1)[1:]

    def point(self, time: float) -> _Point:
        log_alpha = float(np.interp(time, self.times, self.log_alphas))
        log_sigma = 0.5 * math.log1p(-math.exp(2 * log_alpha))
        return _Point(time, math.exp(log_alpha), math.exp(log_sigma), log_alpha - log_sigma)

    def timestep(self, point: _Point) -> float:
        return (point.time - 1 / self.count) * self.count

    def spread(self, start: float, steps: int, skip: str) -> list[_Point]:
        end = 1 / self.count
        if skip == "logSNR":
            levels = 2 * self.log_alphas
            log_snrs = 0.5 * (levels - np.log1p(-np.exp(levels)))
            wanted = np.linspace(self.point(start).log_snr, self.point(end).log_snr, steps + 1)
            times = np.interp(wanted, log_snrs[::-1], self.times[::-1])
        elif skip == "time_quadratic":
            times = np.linspace(start**0.5, end**0.5, steps + 1) ** 2
        else:
            times = np.linspace(start, end, steps + 1)
        return [self.point(float(time)) for time in times]


def unipc(
    eps_model: EpsModel,
    x: Tensor,
    timesteps: Sequence[int],
    *,
    alphas_cumprod: Tensor,
    noise: NoiseSource,
    on_step: OnStep,
    options: UniPCOptions = UniPCOptions(),
) -> Tensor:
    """As many network calls as timesteps; beyond their number only `options.start` counts. Multistep, with predicted
    clean latents."""
    process = _Times(alphas_cumprod)
    steps = len(timesteps)
    points = process.spread(options.start, steps, options.skip)
    order = max(1, min(options.order, steps - 1))

    def clean(x: Tensor, point: _Point, index: int) -> Tensor:
        eps = eps_model(x, process.timestep(point))
        guess = (x - point.sigma * eps) / point.alpha
        on_step(StepInfo(index, point.sigma / point.alpha, guess))
        return guess

    known = [(points[0], clean(x, points[0], 0))]
    for step in range(1, steps + 1):
        now = min(step, order)
        if options.lower_order_final:
            now = min(now, steps + 1 - step)
        ask = None if step == steps else lambda predicted, i=step: clean(predicted, points[i], i)
        x, guess = _update(x, known, points[step], now, options.variant, ask)
        if guess is not None:
            known = [*known[-(order - 1) :], (points[step], guess)] if order > 1 else [(points[step], guess)]
    return x


def _update(
    x: Tensor,
    known: Sequence[tuple[_Point, Tensor]],
    goal: _Point,
    order: int,
    variant: str,
    ask: Callable[[Tensor], Tensor] | None,
) -> tuple[Tensor, Tensor | None]:
    """Predicts x at `goal` and, where the network may be asked there, corrects it with its answer."""
    last, guess = known[-1]
    h = goal.log_snr - last.log_snr
    ratios = [(point.log_snr - last.log_snr) / h for point, _ in known[-2 : -order - 1 : -1]]
    bends = [(other - guess) / ratio for (_, other), ratio in zip(known[-2 : -order - 1 : -1], ratios)]
    predictor, corrector, scale = _weights(ratios, -h, variant)
    base = goal.sigma / last.sigma * x - goal.alpha * math.expm1(-h) * guess
    predicted = base - goal.alpha * scale * _mix(predictor, bends)
    if ask is None:
        return predicted, None
    answer = ask(predicted)
    mixed = _mix(corrector[:-1], bends) + corrector[-1] * (answer - guess)
    return base - goal.alpha * scale * mixed, answer


def _mix(weights: Sequence[float], bends: Sequence[Tensor]) -> Tensor | float:
    total: Tensor | float = 0.0
    for weight, bend in zip(weights, bends):
        total = total + weight * bend
    return total


def _weights(ratios: list[float], h: float, variant: str) -> tuple[list[float], list[float], float]:
    """Weights of predictor and corrector, and the factor B(h); theorem 3.1 of the paper.

    `vary_coeff` is its section 3.4: the weights are exact at every order, so that B(h) cancels.
    """
    order = len(ratios) + 1
    exact = variant == "vary_coeff"
    scale = 1.0 if exact else h if variant == "bh1" else math.expm1(h)
    phi, factorial, goals = math.expm1(h) / h - 1, 1.0, []
    for i in range(1, order + 1):
        goals.append(phi * factorial / scale)
        factorial *= i + 1
        phi = phi / h - 1 / factorial
    powers = torch.tensor([[ratio**i for ratio in [*ratios, 1.0]] for i in range(order)], dtype=torch.float64)
    wanted = torch.tensor(goals, dtype=torch.float64)
    # The lowest orders have the simple weights that the paper recommends.
    if order == 1 and not exact:
        return [], [0.5], scale
    simple = order == 2 and not exact
    predictor = [0.5] if simple else torch.linalg.solve(powers[:-1, :-1], wanted[:-1]).tolist()
    return predictor, torch.linalg.solve(powers, wanted).tolist(), scale
