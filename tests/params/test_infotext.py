"""Infotext: the recorded cases, the order of keys, and requests that come back from their text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atelier.base.refs import ImageRef
from atelier.params.groups import GROUPS
from atelier.params.infotext import (
    PasteRules,
    infotext_fields,
    parse_infotext,
    paste,
    quote,
    request_from_infotext,
    settings_fields,
    unquote,
    write_infotext,
)
from atelier.params.request import DECLARATIONS, GenerationRequest
from atelier.params.settings import Settings
from tests.params.strategies import LINE, requests

FILE = Path(__file__).parents[1] / "contract" / "infotext_cases.json"
CASES = json.loads(FILE.read_text("utf-8"))
KEY = st.text(alphabet="abcdefABC /-", min_size=1, max_size=10).map(lambda text: f"K{text.strip()}k")
VALUE = st.one_of(st.text(max_size=30), st.integers(), st.booleans(), st.floats(allow_nan=False, allow_infinity=False))


def cases(kind: str) -> list:
    return [pytest.param(case, id=case["id"]) for case in CASES if case["kind"] == kind]


def test_no_case_is_left_out() -> None:
    assert len(CASES) == 47 == sum(len(cases(kind)) for kind in ("quote", "unquote", "parse"))


@pytest.mark.parametrize("case", cases("quote"))
def test_recorded_quote(case: dict) -> None:
    assert quote(case["input"]) == case["expect"]
    assert type(quote(case["input"])) is type(case["expect"])


@pytest.mark.parametrize("case", cases("unquote"))
def test_recorded_unquote(case: dict) -> None:
    assert unquote(case["input"]) == case["expect"]


@pytest.mark.parametrize("case", cases("parse"))
def test_recorded_parse(case: dict) -> None:
    found = parse_infotext(case["input"])
    assert found == case["expect"]
    assert {key: type(value) for key, value in found.items()} == {k: type(v) for k, v in case["expect"].items()}


@given(st.text(max_size=60))
def test_unquote_undoes_quote(text: str) -> None:
    quoted = quote(text)
    # A text that looks like JSON by itself is written raw; that is the format's own ambiguity.
    if quoted != text or not (text.startswith('"') and text.endswith('"')):
        assert unquote(quoted) == text


@given(st.one_of(st.text(max_size=300), st.text(alphabet='ab:, "\\\nx1-/', max_size=120)))
def test_reading_never_raises(text: str) -> None:
    values = parse_infotext(text)
    assert "Prompt" in values and "Negative prompt" in values
    assert isinstance(request_from_infotext(text, GenerationRequest()), GenerationRequest)


@given(st.dictionaries(KEY, VALUE, min_size=3, max_size=8), LINE, LINE)
def test_what_is_written_is_read(extras: dict, prompt: str, negative: str) -> None:
    extras = {key: value for key, value in extras.items() if str(value).strip() == str(value) != ""}
    extras = {k: v for k, v in extras.items() if not str(v).startswith('"')} | {"Steps": 1, "Sampler": "x", "Seed": 2}
    found = parse_infotext(write_infotext(prompt, negative, extras), defaults=False)
    assert (found["Prompt"], found["Negative prompt"]) == (prompt, negative)
    assert {key: found[key] for key in extras} == {key: str(value) for key, value in extras.items()}


def test_the_order_of_keys() -> None:
    head = {"Version": "Atelier", "Size": "512x512", "Seed": 1, "Sampler": "Euler a", "Steps": 20, "Zeta": "late",
            "CFG scale": 7.0, "Schedule type": "Automatic", "Model": None, "Clip skip": 2}  # fmt: skip
    extras = {"Schedule type": "Karras", "Hires upscale": 2.0, "Note": "a, b", "Same": "Same"}
    assert write_infotext("a\nb", "c", head, extras) == (
        "a\nb\nNegative prompt: c\nSteps: 20, Sampler: Euler a, Schedule type: Karras, CFG scale: 7.0, Seed: 1, "
        'Size: 512x512, Clip skip: 2, Zeta: late, Hires upscale: 2.0, Note: "a, b", Same, Version: Atelier'
    )
    assert write_infotext("", "", {"Steps": 1}) == "Steps: 1"


def test_a_long_last_line_is_read_in_one_go() -> None:
    assert parse_infotext("a" * 100_000)["Prompt"] == "a" * 100_000
    assert parse_infotext("word " * 20_000 + ":")["Prompt"].startswith("word word")


def test_styles() -> None:
    def extract(prompt: str, negative: str):
        found = ("ink",) if prompt.endswith(", ink") else ()
        return found, prompt.removesuffix(", ink"), negative

    text = "cat, ink\nSteps: 1, Sampler: x, Seed: 1"
    assert parse_infotext(text, extract_styles=extract)["Styles array"] == ["ink"]
    assert parse_infotext(text, extract_styles=extract)["Prompt"] == "cat"
    assert parse_infotext(text, extract_styles=extract, styles="Ignore")["Prompt"] == "cat, ink"
    discarded = parse_infotext(text, extract_styles=extract, styles="Discard")
    assert discarded["Prompt"] == "cat" and "Styles array" not in discarded
    assert "Styles array" not in parse_infotext("cat", extract_styles=extract)
    assert parse_infotext("cat", extract_styles=extract, styles="Apply")["Styles array"] == []
    both = parse_infotext(f"{text}, Hires prompt: dog", extract_styles=extract)
    assert both["Prompt"] == "cat, ink" and both["Hires prompt"] == "dog"


def test_keys_to_leave_out() -> None:
    values = parse_infotext("x\nSteps: 1, Sampler: y, Seed: 1", skip=("Seed", "Clip skip"))
    assert "Seed" not in values and "Clip skip" not in values and values["Steps"] == "1"


def told(request: GenerationRequest) -> dict:
    """What the text of a request can tell, in the form in which it comes back."""
    values = {d.path: request.get(d.path) for d in DECLARATIONS}
    fields = infotext_fields(request)
    positive, hires = request.prompt.positive, request.hires
    kept = {path: value for path, value in values.items() if path in ("prompt.positive", "prompt.negative")}
    for declaration in DECLARATIONS:
        label = declaration.param.infotext.removesuffix("-1").removesuffix("-2")
        if label in fields and label:
            kept[declaration.path] = values[declaration.path]
    if request.kind == "txt2img":
        kept.pop("source.denoising_strength", None)
        kept["hires.enabled"] = hires.enabled
        for path, same in (("hires.prompt", positive), ("hires.negative", request.prompt.negative)):
            if path in kept and kept[path] == same:
                del kept[path]
    else:
        kept = {path: value for path, value in kept.items() if not path.startswith("hires.")}
        if request.inpainting:
            kept |= {path: values[path] for path in ("mask.invert", "mask.fill", "mask.only_masked")}
    return kept


@given(requests())
def test_a_request_comes_back_from_its_text(request: GenerationRequest) -> None:
    text = write_infotext(request.prompt.positive, request.prompt.negative, infotext_fields(request))
    base = GenerationRequest().with_values(**{
        "source.images": request.source.images, "mask.image": request.mask.image,
    })  # fmt: skip
    again = request_from_infotext(text, base)
    expected = told(request)
    assert {path: again.get(path) for path in expected} == expected


def test_hires() -> None:
    text = "x\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 5, Size: 512x768, Denoising strength: 0.4, "
    told_hires = 'Hires upscale: 1.5, Hires upscaler: Lanczos, Hires prompt: "a, b"'
    request = request_from_infotext(text + told_hires, GenerationRequest())
    assert request.hires.enabled and request.hires.scale == 1.5 and request.hires.prompt == "a, b"
    assert request.hires.sampler is None and request.hires.denoising_strength == 0.4
    assert (request.size.width, request.size.height) == (512, 768)
    # A text of img2img has a denoising strength too, and no hires fix.
    assert not request_from_infotext(text + "Mask blur: 4", GenerationRequest()).hires.enabled


def test_inpainting() -> None:
    text = (
        "x\nSteps: 20, Sampler: Euler, CFG scale: 7, Denoising strength: 0.4, Mask blur: 9, Mask mode: "
        "Inpaint not masked, Masked content: latent noise, Inpaint area: Only masked, Masked area padding: 8"
    )
    request = paste(parse_infotext(text), GenerationRequest(), PasteRules(kind="img2img")).request
    assert (request.mask.blur_x, request.mask.blur_y, request.mask.padding) == (9, 9, 8)
    assert (request.mask.invert, request.mask.fill, request.mask.only_masked) == (True, 2, True)
    assert request.source.denoising_strength == 0.4


def test_variation_goes_back_to_none() -> None:
    base = GenerationRequest().with_values(**{"seed.subseed_strength": 0.5, "seed.resize_from_w": 512})
    request = request_from_infotext("x\nSteps: 1, Sampler: y, Seed: 7", base)
    assert (request.seed.seed, request.seed.subseed_strength, request.seed.resize_from_w) == (7, 0, 0)


def test_settings_that_a_text_implies(tmp_path: Path) -> None:
    store = Settings(tmp_path / "config.json", GROUPS)
    rules = PasteRules(settings=store.snapshot(), declarations=tuple(store.declarations.values()))
    text = ("x\nSteps: 1, Sampler: y, Seed: 1, Clip skip: 2, ENSD: 31337, Model: foo, Model hash: 0123456789, "
            "Beta schedule alpha: 0.3, Version: v1.5.1")  # fmt: skip
    pasted = paste(parse_infotext(text), GenerationRequest(), rules)
    assert dict(pasted.overrides) == {
        "CLIP_stop_at_last_layers": 2, "eta_noise_seed_delta": 31337, "randn_source": "GPU", "beta_dist_alpha": 0.3,
        "use_downcasted_alpha_bar": True,
    }  # fmt: skip
    store.update({"disable_weights_auto_swap": False, "randn_source": "GPU", "CLIP_stop_at_last_layers": 2}, save=False)
    rules = PasteRules(settings=store.snapshot(), declarations=tuple(store.declarations.values()),
                       resolve_model=lambda name, digest: f"{name}.safetensors [{digest}]")  # fmt: skip
    overrides = paste(parse_infotext(text), GenerationRequest(), rules).overrides
    assert overrides["sd_model_checkpoint"] == "foo.safetensors [0123456789]"
    assert "randn_source" not in overrides and "CLIP_stop_at_last_layers" not in overrides


def test_labels_without_a_control_go_to_their_setting() -> None:
    text = "x\nSteps: 3, Sampler: y, Seed: 1, Eta: 0.5, Tiling: True"
    everything = paste(parse_infotext(text), GenerationRequest())
    assert everything.request.sampling.eta == 0.5 and "eta_ancestral" not in everything.overrides
    form = paste(parse_infotext(text), GenerationRequest(), PasteRules(fields=frozenset({"sampling.steps"})))
    assert form.request.sampling.eta is None and form.request.sampling.steps == 3
    assert form.overrides["eta_ancestral"] == 0.5 and form.overrides["tiling"] is True


def test_values_that_do_not_fit_are_told_and_left_out() -> None:
    text = "x\nSteps: many, Sampler: y, Seed: 1, Size: 4x4, Clip skip: 99"
    pasted = paste(parse_infotext(text), GenerationRequest())
    assert set(pasted.problems) == {"Steps", "Size-1", "Size-2", "Clip skip"}
    assert pasted.request.sampling.steps == 20 and pasted.request.size.width == 512


def test_several_source_pictures_keep_their_batch() -> None:
    images = tuple(ImageRef(str(k) * 64) for k in range(3))
    base = GenerationRequest().with_values(**{"batch.size": 3, "source.images": images})
    assert request_from_infotext("x\nSteps: 1, Seed: 1, Batch size: 1", base).batch.size == 3


def test_the_sampler_may_carry_a_schedule() -> None:
    rules = PasteRules(resolve_sampler=lambda sampler, schedule: (sampler.removesuffix(" Karras"), "Karras"))
    values = parse_infotext("x\nSteps: 1, Sampler: DPM++ 2M Karras, Seed: 1")
    request = paste(values, GenerationRequest(), rules).request
    assert (request.sampling.sampler, request.sampling.scheduler) == ("DPM++ 2M", "Karras")


def test_fields_that_have_no_effect_are_not_told() -> None:
    request = GenerationRequest().with_values(**{"hires.scale": 3.0, "mask.blur_x": 9, "seed.subseed": 5})
    assert infotext_fields(request) == {
        "Size": "512x512", "Seed": -1, "Sampler": "DPM++ 2M", "Schedule type": "Automatic", "Steps": 20,
        "CFG scale": 7.0,
    }  # fmt: skip


def test_settings_are_told_where_a_reader_would_assume_otherwise(tmp_path: Path) -> None:
    store = Settings(tmp_path / "config.json", GROUPS)
    assert settings_fields(store.snapshot()) == {"RNG": "CPU"}
    store.update({"randn_source": "GPU", "emphasis": "No norm", "sd_vae": "x"}, save=False)
    store.update({"CLIP_stop_at_last_layers": 2}, save=False)
    assert settings_fields(store.snapshot()) == {"Clip skip": 2}
    assert settings_fields(store.snapshot(), prompt="(a:1.2)") == {"Emphasis": "No norm", "Clip skip": 2}
    assert settings_fields(store.snapshot(), prompt="\\(a\\)") == {"Clip skip": 2}


def test_a_refiner_comes_back_and_goes() -> None:
    head = "x\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 5, Size: 512x768, Model: base"
    told = request_from_infotext(head + ", Refiner: fine [0123456789], Refiner switch at: 0.6", GenerationRequest())
    assert told.refiner_checkpoint == "fine [0123456789]" and told.refiner.switch_at == 0.6
    # The text of a picture without one switches it off; the choice stays on the control.
    again = request_from_infotext(head, told)
    assert not again.refiner.enabled and again.refiner.checkpoint == "fine [0123456789]"
    # A part of a text says nothing of it.
    assert paste({"Seed": "3"}, told).request.refiner.enabled


def test_a_second_pass_without_steps_and_cfg_of_its_own_has_none() -> None:
    text = "x\nSteps: 20, Sampler: Euler, Seed: 5, Denoising strength: 0.4, Hires upscale: 2"
    base = GenerationRequest().with_values(**{"hires.steps": 9, "hires.cfg_scale": 3.0})
    request = request_from_infotext(text, base)
    assert request.hires.steps == 0 and request.hires.cfg_scale == 0
    assert request_from_infotext(text + ", Hires CFG Scale: 5", base).hires.cfg_scale == 5


def test_soft_inpainting_comes_back() -> None:
    text = (
        "x\nSteps: 20, Sampler: Euler, Seed: 5, Denoising strength: 0.4, Soft inpainting enabled: True, "
        "Soft inpainting mask influence: 0.25"
    )
    rules = PasteRules(kind="img2img")
    told = request_from_infotext(text, GenerationRequest(), rules)
    assert told.soft.enabled and told.soft.mask_influence == 0.25
    assert not request_from_infotext(text.replace("Soft", "Hard"), told, rules).soft.enabled
