import pytest
import torch

from atelier.base.errors import BadRequest
from atelier.sampling.catalogue import check_steps, default_schedules
from atelier.sampling.prediction import Prediction
from atelier.sampling.schedules import ddim_timesteps, karras, without_second_last
from tests.sampling.cases import cases, close

EPS = Prediction.scaled_linear()
SCHEDULES = default_schedules().freeze()
RECORDED = [(name, int(n)) for name, lists in cases()["sigmas"].items() for n in lists]


@pytest.mark.parametrize(("name", "n"), RECORDED)
def test_recorded_sigmas(name, n):
    options = {"table": "sdxl"} if name.endswith("(SDXL)") else {}
    label = {"Automatic": "Uniform"}.get(name, name.split(" [")[0].removesuffix(" (SDXL)"))
    sigmas = SCHEDULES.get(label).sigmas(n, EPS.sigma_min, EPS.sigma_max, EPS, options)
    assert sigmas.dtype == torch.float32
    close(sigmas, cases()["sigmas"][name][str(n)], rtol=1e-5)


def test_recorded_discard():
    sigmas = without_second_last(karras(11, EPS.sigma_min, EPS.sigma_max))
    close(sigmas, cases()["discard_next_to_last"]["karras_10"], rtol=1e-5)


@pytest.mark.parametrize("n", [int(n) for n in cases()["timesteps"]])
def test_recorded_timesteps(n):
    assert list(ddim_timesteps(n)) == cases()["timesteps"][str(n)]


def test_rho_and_beta_options_reach_their_schedules():
    span = (EPS.sigma_min, EPS.sigma_max, EPS)
    options = {"rho": 3.0, "alpha": 1.0, "beta": 1.0}
    close(SCHEDULES.get("karras").sigmas(5, *span, options), karras(5, *span[:2], rho=3.0))
    flat = SCHEDULES.get("beta").sigmas(5, *span, options)
    close(flat[:-1], torch.linspace(EPS.sigma_max, EPS.sigma_min, 5), rtol=1e-4)
    close(SCHEDULES.get("exponential").sigmas(5, *span, options)[0], EPS.sigma_max)


def test_the_list_of_schedules_is_the_known_one():
    assert [entry.label for entry in SCHEDULES] == [
        "Automatic", "Uniform", "Karras", "Exponential", "Polyexponential", "SGM Uniform", "KL Optimal",
        "Align Your Steps", "Simple", "Normal", "DDIM", "Beta",
    ]  # fmt: skip
    rho = {entry.name: entry.default_rho for entry in SCHEDULES if entry.default_rho != -1}
    assert rho == {"karras": 7, "polyexponential": 1}
    inner = {entry.name for entry in SCHEDULES if entry.need_inner_model}
    assert inner == {"uniform", "sgm_uniform", "simple", "normal", "ddim"}
    with pytest.raises(ValueError, match="Automatic"):
        SCHEDULES.get("automatic").sigmas(5, 0.1, 10.0, EPS, {})


@pytest.mark.parametrize("steps", [0, -3, 1001])
def test_steps_out_of_range_are_refused(steps):
    with pytest.raises(BadRequest, match="sampling.steps"):
        check_steps(steps)
