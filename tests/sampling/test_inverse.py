"""Euler backwards, on a Gaussian whose clean guess is known."""

from __future__ import annotations

import pytest
import torch

from atelier.sampling.samplers.inverse import invert_euler


@pytest.mark.parametrize("slope_below", [False, True])
def test_the_way_up_is_the_way_down(slope_below):
    """Data of spread s: the best guess of x at level sigma is x * s^2 / (s^2 + sigma^2), and the flow keeps each
    point's place in the spread: x0 of the flow is x(T) * s / sqrt(s^2 + T^2)."""
    spread, top = 0.5, 10.0
    sigmas = torch.cat([torch.linspace(top**0.2, 0.01**0.2, 800) ** 5, torch.zeros(1)])
    clean = spread * torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))

    def denoise(x: torch.Tensor, sigma: float) -> torch.Tensor:
        return x * spread**2 / (spread**2 + sigma**2)

    noise = invert_euler(denoise, clean, sigmas, slope_below=slope_below)
    exact = clean / spread * (spread**2 + top**2) ** 0.5 / top
    exact = exact if slope_below else exact / exact.std()
    assert (noise - exact).abs().max() < 0.03 * exact.abs().max()
