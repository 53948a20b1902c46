"""Names of samplers and models as clients send them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from atelier.base.errors import BadRequest
from atelier.params.capabilities import Capabilities, FileInfo, ModelInfo, SamplerInfo, SchedulerInfo
from atelier.params.names import find_model, get_model, get_vae, resolve_sampler

DEFAULTS = {"DPM++ 2M": "karras", "DPM++ 2M SDE": "exponential", "DPM++ 3M SDE": "exponential", "Restart": "karras"}
CAPABILITIES = Capabilities(
    samplers=tuple(
        SamplerInfo(name, aliases, {"scheduler": DEFAULTS[name]} if name in DEFAULTS else {})
        for name, aliases in (
            ("DPM++ 2M", ("k_dpmpp_2m",)), ("DPM++ 2M SDE", ()), ("DPM++ 3M SDE", ()), ("Euler a", ("k_euler_a",)),
            ("Euler", ("k_euler",)), ("LMS", ()), ("Restart", ()), ("DDIM", ()),
        )
    ),
    schedulers=tuple(
        SchedulerInfo(name, label, aliases)
        for name, label, aliases in (
            ("automatic", "Automatic", ()), ("uniform", "Uniform", ()), ("karras", "Karras", ()),
            ("exponential", "Exponential", ()), ("sgm_uniform", "SGM Uniform", ("SGMUniform",)),
            ("simple", "Simple", ()), ("ddim", "DDIM", ()),
        )
    ),
    models=(
        ModelInfo("a.safetensors [0123456789]", "a", "/m/a.safetensors", "0123456789", "0123456789" + "f" * 54),
        ModelInfo("sub/b.ckpt", "sub_b", "/m/sub/b.ckpt"),
    ),
    vaes=(FileInfo("soft.vae.pt", "/v/soft.vae.pt"),),
)  # fmt: skip
CASES = json.loads((Path(__file__).parents[1] / "contract/sampling_cases.json").read_text("utf-8"))
# A1111 reads these as the first sampler without a word; here they mean what they say, or are refused.
BETTER = {
    "Euler SGM Uniform": ("Euler", "SGM Uniform"),
    "euler a": ("Euler a", "Automatic"),
    "k_euler_a": ("Euler a", "Automatic"),
}


@pytest.mark.parametrize("case", CASES["sampler_name_resolution"], ids=lambda c: f"{c['sampler']}+{c['scheduler']}")
def test_recorded_names(case):
    expected = BETTER.get(case["sampler"], tuple(case["expect"]))
    assert resolve_sampler(CAPABILITIES, case["sampler"], case["scheduler"], strict=False) == expected


def test_unknown_names_are_refused_with_the_closest():
    with pytest.raises(BadRequest) as error:
        resolve_sampler(CAPABILITIES, "Euler b", None)
    assert error.value.field == "sampling.sampler" and "Euler" in error.value.remedy
    with pytest.raises(BadRequest) as error:
        resolve_sampler(CAPABILITIES, "Euler", "Kerras")
    assert error.value.field == "sampling.scheduler" and "Karras" in error.value.remedy


@pytest.mark.parametrize(
    "text", ["a.safetensors [0123456789]", "a.safetensors", "a", "A", "0123456789", "0123456789" + "f" * 54]
)
def test_a_checkpoint_by_each_of_its_names(text):
    assert find_model(CAPABILITIES, text).filename == "/m/a.safetensors"


@pytest.mark.parametrize("text", ["sub/b.ckpt", "sub\\b.ckpt", "sub/b", "b.ckpt", "b", "sub_b"])
def test_a_checkpoint_in_a_sub_folder(text):
    assert find_model(CAPABILITIES, text).filename == "/m/sub/b.ckpt"


def test_a_hash_that_is_not_known_yet_or_of_a_renamed_file():
    assert find_model(CAPABILITIES, "b [aaaaaaaaaa]").filename == "/m/sub/b.ckpt"
    assert find_model(CAPABILITIES, "old name [0123456789]").filename == "/m/a.safetensors"
    assert find_model(CAPABILITIES, "a [aaaaaaaaaa]") is None and find_model(CAPABILITIES, "c [aaaaaaaaaa]") is None


def test_the_second_pass_is_named_in_its_errors():
    for sampler, schedule, field in (("Euler", "nope", "hires.scheduler"), ("nope", None, "hires.sampler")):
        with pytest.raises(BadRequest) as error:
            resolve_sampler(CAPABILITIES, sampler, schedule, part="hires")
        assert error.value.field == field


def test_unknown_models_are_refused():
    assert find_model(CAPABILITIES, "") is None
    with pytest.raises(BadRequest) as error:
        get_model(CAPABILITIES, "nothing", "sd_model_checkpoint")
    assert error.value.field == "sd_model_checkpoint"
    assert get_vae(CAPABILITIES, "automatic", "sd_vae") == "Automatic"
    assert get_vae(CAPABILITIES, "soft.vae", "sd_vae") == "soft.vae.pt"
    with pytest.raises(BadRequest):
        get_vae(CAPABILITIES, "hard", "sd_vae")
