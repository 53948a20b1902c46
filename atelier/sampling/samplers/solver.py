"""DPM fast and DPM adaptive: DPM-Solver of order 1 to 3 between two sigmas, with its own steps (Lu et al. 2022)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from atelier.sampling.noise import NoiseSource
from atelier.sampling.samplers.algebra import Denoise, OnStep, ancestral_split
from atelier.sampling.step import StepInfo

Slope = Callable[[Tensor, Tensor], Tensor]  # x [B, C, H, W], t [] or [B] -> noise guess [B, C, H, W]

# Tolerances and controller of the reference solver; "image-like" latents.
RTOL, ATOL, FIRST_STEP, ACCEPT = 0.05, 0.0078, 0.05, 0.81
SMALLEST_LEFT = 1e-5


def _sigma(t: Tensor) -> Tensor:
    return (-t).exp()


def _wide(values: Tensor, x: Tensor) -> Tensor:
    """A value a picture, ready to be multiplied with pictures."""
    return values.to(device=x.device, dtype=x.dtype).reshape(-1, *([1] * (x.ndim - 1))) if values.ndim else values


def _eps(denoise: Denoise) -> Slope:
    return lambda x, t: (x - denoise(x, _sigma(t))) / _wide(_sigma(t), x)


def _step_1(x: Tensor, eps: Tensor, t: Tensor, t_next: Tensor) -> Tensor:
    return x - _wide(_sigma(t_next) * (t_next - t).expm1(), x) * eps


def _step_2(x: Tensor, eps: Tensor, eps_r1: Tensor, span: tuple[Tensor, Tensor], r1: float) -> Tensor:
    t, t_next = span
    change = _wide(_sigma(t_next) / (2 * r1) * (t_next - t).expm1(), x)
    return _step_1(x, eps, t, t_next) - change * (eps_r1 - eps)


def _step_3(x: Tensor, eps: Tensor, eps_r1: Tensor, slope: Slope, span: tuple[Tensor, Tensor]) -> Tensor:
    """Order 3 with stops at a third and two thirds of the way; `eps_r1` is the noise at the first stop."""
    t, t_next = span
    h, r1, r2 = t_next - t, 1 / 3, 2 / 3
    stop = t + r2 * h
    bend = _wide(_sigma(stop) * (r2 / r1) * (_expm1_over(r2 * h) - 1), x)
    eps_r2 = slope(_step_1(x, eps, t, stop) - bend * (eps_r1 - eps), stop)
    return _step_1(x, eps, t, t_next) - _wide(_sigma(t_next) / r2 * (_expm1_over(h) - 1), x) * (eps_r2 - eps)


def _expm1_over(h: Tensor) -> Tensor:
    return torch.where(h == 0, torch.ones_like(h), h.expm1() / torch.where(h == 0, torch.ones_like(h), h))


def _down(t: Tensor, t_next: Tensor, t_end: Tensor, eta: float) -> tuple[Tensor, Tensor]:
    """To which time to step, and how much noise to add, to arrive at `t_next` with fresh noise."""
    if not eta:
        return t_next, torch.zeros_like(t_next)
    down, _ = ancestral_split(_sigma(t), _sigma(t_next), eta)
    below = torch.minimum(t_end, -down.log())
    return below, (_sigma(t_next) ** 2 - _sigma(below) ** 2).clamp(min=0) ** 0.5


def dpm_fast(
    denoise: Denoise,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    on_step: OnStep,
    eta: float = 0.0,
    s_noise: float = 1.0,
) -> Tensor:
    """As many network calls as `sigmas` has steps, in steps of order 3 even in log sigma, then one of lower order.

    Of `sigmas` only the first, the last above zero and the number count.
    """
    slope, n = _eps(denoise), len(sigmas) - 1
    parts = n // 3 + 1
    orders = [3] * (parts - 2) + [2, 1] if n % 3 == 0 else [3] * (parts - 1) + [n % 3]
    t_end = -sigmas[-2].log()
    times = torch.linspace(float(-sigmas[0].log()), float(t_end), parts + 1, dtype=sigmas.dtype)
    for i, order in enumerate(orders):
        t, t_next = times[i], times[i + 1]
        below, up = _down(t, t_next, t_end, eta)
        eps = slope(x, t)
        on_step(StepInfo(i, float(_sigma(t)), x - _sigma(t) * eps))
        if order == 1:
            x = _step_1(x, eps, t, below)
        else:
            stop = t + (below - t) / order
            eps_r1 = slope(_step_1(x, eps, t, stop), stop)
            if order == 2:
                x = _step_2(x, eps, eps_r1, (t, below), 1 / 2)
            else:
                x = _step_3(x, eps, eps_r1, slope, (t, below))
        if up > 0:
            x = x + up * s_noise * noise(_sigma(t), _sigma(t_next))
    return x


class StepSize:
    """The integral controller of one picture's steps: smaller after a large error, never by leaps."""

    def __init__(self, order: float) -> None:
        self.h = FIRST_STEP
        self._power = 1 / order

    def accepts(self, error: float) -> bool:
        factor = 1 + math.atan((1 / (error + 1e-8)) ** self._power - 1)
        self.h *= factor
        return factor >= ACCEPT


def dpm_adaptive(
    denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: NoiseSource, on_step: OnStep, eta: float = 0.0
) -> Tensor:
    """Steps of order 3 as long as the difference to order 2 allows; of `sigmas` only the range counts.

    Every picture has its own steps, so that its neighbours in the batch do not change it: all try one step at a time,
    and those that have arrived wait.
    """
    slope, batch = _eps(denoise), x.shape[0]
    now = [float(-sigmas[0].log())] * batch
    end = float(-sigmas[-2].log())
    sizes = [StepSize(1.5 if eta else 3.0) for _ in range(batch)]
    low_before, tries = x, 0
    while any(time < end - SMALLEST_LEFT for time in now):
        going = [time < end - SMALLEST_LEFT for time in now]
        s = torch.tensor(now, dtype=sigmas.dtype)
        t = torch.tensor([min(end, time + size.h) for time, size in zip(now, sizes)], dtype=sigmas.dtype)
        t = torch.where(torch.tensor(going), t, s)
        below, up = _down(s, t, torch.tensor(end, dtype=sigmas.dtype), eta)
        eps = slope(x, s)
        on_step(StepInfo(tries, float(_sigma(s).max()), x - _wide(_sigma(s), x) * eps))
        stop = s + (below - s) / 3
        eps_r1 = slope(_step_1(x, eps, s, stop), stop)
        low = _step_2(x, eps, eps_r1, (s, below), 1 / 3)
        high = _step_3(x, eps, eps_r1, slope, (s, below))
        errors = _errors(low, high, low_before)
        accepted = [go and size.accepts(error) for go, size, error in zip(going, sizes, errors)]
        if any(accepted):
            drawn = noise(_sigma(s), _sigma(t), accepted) * _wide(up, x) if eta else 0.0
            keep = torch.tensor(accepted, device=x.device).reshape(-1, *([1] * (x.ndim - 1)))
            low_before, x = torch.where(keep, low, low_before), torch.where(keep, high + drawn, x)
        now = [float(t[i]) if accepted[i] else now[i] for i in range(batch)]
        tries += 1
    return x


def _errors(low: Tensor, high: Tensor, low_before: Tensor) -> Sequence[float]:
    """The difference of the two orders in units of the tolerance, for each picture by itself."""
    room = torch.clamp(RTOL * torch.maximum(low.abs(), low_before.abs()), min=ATOL)
    parts = (low - high) / room
    parts = parts.to(torch.promote_types(parts.dtype, torch.float32))
    return [float(torch.linalg.vector_norm(part)) / part.numel() ** 0.5 for part in parts]
