"""Every sampler against recorded values of a toy model, whose noise is always 0.5."""

import pytest
import torch

from atelier.sampling.prediction import Prediction
from atelier.sampling.samplers import ddim, dpm, euler, multistep, restart, solver, unipc
from atelier.sampling.samplers.algebra import Churn
from atelier.sampling.schedules import ddim_timesteps, karras
from tests.sampling.cases import cases, close, quiet

EPS = Prediction.scaled_linear()

TOY = {
    "Euler": (euler.euler, {}),
    "Euler s_churn=10": (euler.euler, {"churn": Churn(10)}),
    "Euler a eta=1": (euler.euler_ancestral, {"eta": 1.0}),
    "Euler a eta=0": (euler.euler_ancestral, {"eta": 0.0}),
    "Heun": (euler.heun, {}),
    "LMS": (multistep.lms, {}),
    "DPM2": (dpm.dpm_2, {}),
    "DPM2 a": (dpm.dpm_2_ancestral, {}),
    "DPM++ 2S a": (dpm.dpmpp_2s_ancestral, {}),
    "DPM++ 2M": (multistep.dpmpp_2m, {}),
    "DPM++ SDE": (dpm.dpmpp_sde, {}),
    "DPM++ 2M SDE": (multistep.dpmpp_2m_sde, {}),
    "DPM++ 2M SDE Heun": (multistep.dpmpp_2m_sde_heun, {}),
    "DPM++ 3M SDE": (multistep.dpmpp_3m_sde, {}),
    "DPM fast n=8 eta=1": (solver.dpm_fast, {"eta": 1.0}),
    "DPM fast n=8 eta=0": (solver.dpm_fast, {"eta": 0.0}),
    "DPM fast n=7 eta=0": (solver.dpm_fast, {"eta": 0.0}),
    "DPM adaptive eta=1": (solver.dpm_adaptive, {"eta": 1.0}),
    "DPM adaptive eta=0": (solver.dpm_adaptive, {"eta": 0.0}),
    "Restart 8": (restart.restart, {}),
    "Restart 20": (restart.restart, {}),
    "Restart 40": (restart.restart, {}),
}
TOY_TIMESTEPS = {
    "DDIM eta=0": (ddim.ddim, {"eta": 0.0}),
    "DDIM eta=1": (ddim.ddim, {"eta": 1.0}),
    "DDIM CFG++ eta=0": (ddim.ddim_cfgpp, {"eta": 0.0}),
    "PLMS": (ddim.plms, {}),
    "UniPC": (unipc.unipc, {}),
}


class Toy:
    """The denoiser of the recorded cases; counts its calls."""

    def __init__(self):
        self.calls = 0

    def __call__(self, x, sigma):
        self.calls += 1
        sigma = sigma.reshape(-1, 1, 1, 1) if sigma.ndim else sigma
        return torch.tanh(x) / (1 + sigma**2) * 0.9 + 0.05


def halves(x):
    return lambda sigma, sigma_next, active=None: torch.full_like(x, 0.5)


def steps_of(name: str) -> int:
    if name.startswith("Restart"):
        return int(name.split()[1])
    return 7 if "n=7" in name else 8


@pytest.mark.parametrize("name", list(cases()["toy"]["results"]))
def test_recorded_toy_results(name):
    function, options = TOY[name]
    sigmas = karras(steps_of(name), EPS.sigma_min, EPS.sigma_max).double()
    x = torch.tensor([1, -0.5, 0.25, 2.0], dtype=torch.float64).reshape(1, 1, 2, 2) * EPS.sigma_max
    seen, toy = [], Toy()
    result = function(toy, x, sigmas, noise=halves(x), on_step=seen.append, **options)
    expected = cases()["toy"]["results"][name]
    values = expected["values"] if isinstance(expected, dict) else expected
    # The adaptive values were recorded with times in single precision.
    close(result.flatten(), values, rtol=1e-4 if "adaptive" in name else 1e-5, atol=1e-6)
    if isinstance(expected, dict):
        assert toy.calls == expected["model_calls"]
    assert seen and seen[0].index == 0 and seen[0].denoised.shape == x.shape


@pytest.mark.parametrize("name", list(cases()["toy_timesteps"]["results"]))
def test_recorded_toy_results_over_timesteps(name):
    known, steps = name.rsplit(" steps=", 1)
    function, options = TOY_TIMESTEPS[known]
    x = torch.tensor([1, -0.5, 0.25, 2.0], dtype=torch.float64).reshape(1, 1, 2, 2)

    def eps(x, t):
        return 0.6 * torch.tanh(x) + 0.0002 * t

    def pair(x, t):
        return eps(x, t), eps(x, t) / 2

    result = function(
        pair if function is ddim.ddim_cfgpp else eps,
        x,
        ddim_timesteps(int(steps)),
        alphas_cumprod=EPS.alphas_cumprod,
        noise=halves(x),
        on_step=quiet,
        **options,
    )
    close(result.flatten(), cases()["toy_timesteps"]["results"][name], rtol=1e-5, atol=1e-6)
