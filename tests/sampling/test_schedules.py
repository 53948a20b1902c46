import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from diffusers.pipelines.mochi.pipeline_mochi import linear_quadratic_schedule
from scipy import stats

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
        "Align Your Steps", "Simple", "Normal", "DDIM", "Beta", "Turbo", "Align Your Steps 11", "Align Your Steps 32",
        "Align Your Steps GITS", "Linear Quadratic", "Beta57", "Bong Tangent", "Laplace",
    ]  # fmt: skip
    rho = {entry.name: entry.default_rho for entry in SCHEDULES if entry.default_rho != -1}
    assert rho == {"karras": 7, "polyexponential": 1}
    inner = {entry.name for entry in SCHEDULES if entry.need_inner_model}
    assert inner == {"uniform", "sgm_uniform", "simple", "normal", "ddim", "turbo", "beta57"}
    with pytest.raises(ValueError, match="Automatic"):
        SCHEDULES.get("automatic").sigmas(5, 0.1, 10.0, EPS, {})


@pytest.mark.parametrize("steps", [0, -3, 1001])
def test_steps_out_of_range_are_refused(steps):
    with pytest.raises(BadRequest, match="sampling.steps"):
        check_steps(steps)


def sigmas_of(name, n, **options):
    return SCHEDULES.get(name).sigmas(n, EPS.sigma_min, EPS.sigma_max, EPS, options)


@pytest.mark.parametrize("n", [1, 2, 4, 7, 20])
def test_turbo_is_trailing_spacing(n):
    reference = DDIMScheduler(num_train_timesteps=1000, timestep_spacing="trailing")
    reference.set_timesteps(n)
    close(sigmas_of("turbo", n)[:-1], EPS.sigmas[reference.timesteps.tolist()])


@pytest.mark.parametrize("n", [2, 5, 20, 31])
def test_linear_quadratic_is_the_formula_of_mochi(n):
    close(sigmas_of("linear_quadratic", n)[:-1], EPS.sigma_max * np.array(linear_quadratic_schedule(n, 0.025)))


def test_beta57_spreads_timesteps():
    quantiles = stats.beta.ppf(1 - np.arange(20) / 20, 0.5, 0.7)
    close(sigmas_of("beta57", 20)[:-1], EPS.sigmas[np.rint(quantiles * 999).astype(int)])


def test_bong_tangent_meets_halfway():
    sigmas = sigmas_of("bong_tangent", 20)
    close(sigmas[[0, 12, -1]], [EPS.sigma_max, (EPS.sigma_max + EPS.sigma_min) / 2, 0.0], rtol=1e-4)
    # An arc of 13 points around its last one, with steepness 0.2 at 40 steps.
    arc = -np.arctan(0.2 / (22 / 40) * (np.arange(13) - 13))
    shape = (arc - arc[-1]) / (arc[0] - arc[-1])
    close(sigmas[:13], (shape + 1) / 2 * (EPS.sigma_max - EPS.sigma_min) + EPS.sigma_min, rtol=1e-4)


def test_laplace_is_a_quantile_of_log_sigma():
    inner = sigmas_of("laplace", 21)[3:18].double().log()
    close(inner, stats.laplace.ppf(1 - np.arange(3, 18) / 20, 0.0, 0.5), atol=2e-3)


def test_tables_for_other_numbers_of_steps():
    assert float(sigmas_of("align_your_steps_32", 32)[1]) == pytest.approx(11.2395, abs=1e-4)
    assert float(sigmas_of("align_your_steps_32", 32, table="sdxl")[1]) == pytest.approx(11.1492, abs=1e-4)
    assert float(sigmas_of("gits", 11)[1]) == pytest.approx(4.617)
    close(sigmas_of("ays 11", 20), sigmas_of("align_your_steps", 20))


@pytest.mark.parametrize("name", SCHEDULES.names()[1:])
@pytest.mark.parametrize("n", [1, 2, 3, 20])
def test_levels_fall(name, n):
    sigmas = sigmas_of(name, n)
    assert (sigmas.diff() <= 0).all() and float(sigmas[0]) <= EPS.sigma_max * 1.001 and len(sigmas) >= 2
