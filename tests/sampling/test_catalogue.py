import pytest

from atelier.base.errors import BadRequest
from atelier.sampling.catalogue import default_catalogue, default_samplers, resolve
from tests.sampling.cases import cases

CATALOGUE = default_catalogue()
# Recorded from a program that takes the first sampler for any name it does not know, and "Uniform" for "SGM Uniform".
# These names say clearly what is meant, so here they mean it.
BETTER = {
    "Euler SGM Uniform": ("Euler", "SGM Uniform"),
    "euler a": ("Euler a", "Automatic"),
    "k_euler_a": ("Euler a", "Automatic"),
}


@pytest.mark.parametrize("case", cases()["sampler_name_resolution"], ids=str)
def test_recorded_names(case):
    better = BETTER.get(case["sampler"])
    sampler, label = resolve(case["sampler"], case["scheduler"], strict=False)
    assert (sampler.name, label) == (better or tuple(case["expect"]))
    sampler, label = resolve(case["sampler"], case["scheduler"], strict=False, keep_default=True)
    assert (sampler.name, label) == (better or tuple(case["expect_no_automatic_conversion"]))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dpm++ 2m sde heun exponential", ("DPM++ 2M SDE Heun", "Automatic")),
        ("k_dpmpp_2m Karras", ("DPM++ 2M", "Automatic")),
        ("UNIPC", ("UniPC", "Automatic")),
        ("Euler a align_your_steps", ("Euler a", "Align Your Steps")),
        ("  DDIM CFG++ ", ("DDIM CFG++", "Automatic")),
        ("euler_ancestral", ("Euler a", "Automatic")),
        ("dpmpp_2m_sde_gpu", ("DPM++ 2M SDE", "Automatic")),
        ("dpmpp_2s_ancestral_cfg_pp", ("DPM++ 2S a CFG++", "Automatic")),
        ("res_multistep bong_tangent", ("Res Multistep", "Bong Tangent")),
        ("er_sde beta57", ("ER SDE", "Beta57")),
        ("uni_pc_bh2", ("UniPC BH2", "Automatic")),
        ("heunpp2 Linear Quadratic", ("HeunPP2", "Linear Quadratic")),
        ("deis AYS", ("DEIS", "Align Your Steps")),
        ("ddim ddim_uniform", ("DDIM", "DDIM")),
    ],
)
def test_names_as_people_write_them(name, expected):
    sampler, label = CATALOGUE.resolve(name, None)
    assert (sampler.name, label) == expected


@pytest.mark.parametrize(("name", "scheduler", "field"), [("Eulr a", None, "sampler"), ("Euler", "karas", "scheduler")])
def test_unknown_names_are_refused_with_the_closest(name, scheduler, field):
    with pytest.raises(BadRequest) as error:
        resolve(name, scheduler)
    assert error.value.field == f"sampling.{field}"
    assert ("Euler a" if field == "sampler" else "karras") in error.value.remedy


def test_the_list_of_samplers_is_the_known_one():
    assert CATALOGUE.samplers.names() == (
        "DPM++ 2M", "DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 2S a", "DPM++ 3M SDE", "Euler a", "Euler",
        "LMS", "Heun", "DPM2", "DPM2 a", "DPM fast", "DPM adaptive", "Restart", "DDIM", "DDIM CFG++", "PLMS", "UniPC",
        "LCM", "TCD", "HeunPP2", "IPNDM", "IPNDM_V", "DEIS", "Res Multistep", "Gradient Estimation", "Exp Heun 2 x0",
        "UniPC BH2", "DDPM", "ER SDE", "SA-Solver", "SA-Solver PECE", "SEEDS 2", "SEEDS 3", "Res Multistep a",
        "Euler CFG++", "Euler a CFG++", "DPM++ 2M CFG++", "DPM++ 2S a CFG++", "Res Multistep CFG++",
        "Res Multistep a CFG++", "Gradient Estimation CFG++",
    )  # fmt: skip


def test_options_are_shown_as_users_know_them():
    shown = {sampler.name: sampler.options for sampler in CATALOGUE.samplers}
    assert shown["Euler"] == {}
    assert shown["Euler a"] == {"uses_ensd": True}
    assert shown["DPM++ SDE"] == {"scheduler": "karras", "second_order": True, "brownian_noise": True}
    assert shown["DPM++ 2M SDE Heun"]["solver_type"] == "heun"
    assert shown["DPM++ 3M SDE"]["discard_next_to_last_sigma"] is True


def test_automatic_means_the_samplers_own_schedule():
    def meant(name, label="Automatic"):
        return CATALOGUE.schedule_for(CATALOGUE.samplers.get(name), label).label

    assert meant("DPM++ 2M") == "Karras" and meant("Euler a") == "Uniform" and meant("LCM") == "LCM"
    assert meant("DPM++ 2M", "simple") == "Simple"


def test_a_filled_registry_can_take_more_until_it_is_frozen():
    samplers = default_samplers()
    samplers.add("Mine", next(iter(samplers)))
    assert "mine" in samplers
