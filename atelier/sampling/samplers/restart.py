"""Restart: Heun steps that go back up in noise on the way (Xu et al. 2023)."""

from __future__ import annotations

from torch import Tensor

from atelier.sampling.noise import NoiseSource
from atelier.sampling.samplers.algebra import Denoise, OnStep
from atelier.sampling.samplers.euler import heun_step
from atelier.sampling.schedules import karras
from atelier.sampling.step import StepInfo

LOW, HIGH = 0.1, 2.0


def restart(
    denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: NoiseSource, on_step: OnStep, s_noise: float = 1.0
) -> Tensor:
    """Heun with, from 20 steps on, one or two returns from sigma 0.1 to sigma 2."""
    for i, (sigma, sigma_next, jumps) in enumerate(restart_steps(sigmas)):
        if jumps:
            x = x + noise(sigma, sigma_next) * s_noise * (sigma_next**2 - sigma**2) ** 0.5
            continue
        denoised = denoise(x, sigma)
        on_step(StepInfo(i, float(sigma), denoised))
        x = heun_step(denoise, x, denoised, sigma, sigma_next)
    return x


def restart_steps(sigmas: Tensor) -> list[tuple[Tensor, Tensor, bool]]:
    """The way as (from, to, whether it is a jump up). The steps of the returns are taken from the first descent."""
    steps = len(sigmas) - 1
    count, times = (steps // 4, 2) if steps >= 36 else (9, 1) if steps >= 20 else (0, 0)
    if not times:
        return [(a, b, False) for a, b in zip(sigmas[:-1], sigmas[1:])]
    positive = sigmas[sigmas > 0]
    base = karras(steps - count * times, float(positive[-1]), float(sigmas[0])).to(sigmas)
    low, high = (int((base - level).abs().argmin()) for level in (LOW, HIGH))
    back = karras(count + 1, float(base[low]), float(base[high])).to(sigmas)[:-1] if high < low else base[:0]
    way: list[tuple[Tensor, Tensor, bool]] = []
    for place in range(len(base) - 1):
        way.append((base[place], base[place + 1], False))
        if place + 1 == low and len(back):
            for _ in range(times):
                way.append((base[low], back[0], True))
                way += [(a, b, False) for a, b in zip(back[:-1], back[1:])]
    return way
