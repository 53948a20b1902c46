"""Pictures of other programs: what each writes, and the infotext that says the same."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atelier.params.foreign import novelai
from atelier.params.foreign.catalogue import translate
from atelier.params.foreign.invokeai import weighted
from atelier.params.infotext import parse_infotext

SIZE = (512, 768)
OURS = "a cat\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512"


def read(infotext: str = "", **items: str) -> dict[str, str]:
    return parse_infotext(translate(infotext, items, SIZE).infotext, defaults=False)


@pytest.mark.parametrize(
    ("text", "program"),
    [(OURS, ""), (f"{OURS}, Version: f2.0.1v1.10.1", "Forge"), (f"{OURS}, Version: Fooocus v2.5.5", "Fooocus")],
)
def test_a1111s_own_form_stays_as_it_is(text, program):
    found = translate(text, {"prompt": '{"1": {}}'}, SIZE)
    assert (found.infotext, found.program, found.original) == (text, program, "")


def test_unknown_texts_stay():
    assert translate("hello", {}, SIZE).infotext == "hello"
    assert translate("", {"dpi": "72", "Comment": "made with love"}, SIZE).infotext == ""


def test_novelai():
    comment = {"steps": 28, "sampler": "k_euler_ancestral", "seed": 42, "scale": 11.0, "uc": "lowres"}
    items = {"Software": "NovelAI", "Description": "a cat", "Comment": json.dumps(comment)}
    found = translate("", items, (8, 8))
    assert found.infotext == (
        "a cat\nNegative prompt: lowres\n"
        "Steps: 28, Sampler: Euler a, CFG scale: 11.0, Seed: 42, Size: 8x8, Clip skip: 2, ENSD: 31337"
    )
    assert found.program == "NovelAI" and "Software: NovelAI" in found.original
    hidden = json.dumps({**items, "Source": "Stable Diffusion"})
    assert translate(hidden, {}, (8, 8)).infotext == found.infotext
    assert translate("p", {"Software": "NovelAI", "Comment": "[1]"}, (8, 8)).infotext == "p"


def test_novelai_4():
    comment = {
        "steps": 23, "sampler": "k_dpmpp_2m_sde", "seed": 1, "scale": 5, "noise_schedule": "karras", "prompt": "flat",
        "v4_prompt": {"caption": {"base_caption": "two girls", "char_captions": [{"char_caption": "red hair"}]}},
        "v4_negative_prompt": {"caption": {"base_caption": "blurry", "char_captions": []}},
    }  # fmt: skip
    values = read(Software="NovelAI", Comment=json.dumps(comment))
    assert values["Prompt"] == "two girls, red hair" and values["Negative prompt"] == "blurry"
    assert (values["Sampler"], values["Schedule type"]) == ("DPM++ 2M SDE", "Karras")


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("a {cat}", "a (cat:1.05)"), ("{{cat}}", "(cat:1.103)"), ("[dim]", "(dim:0.952)"), ("plain", "plain"),
        ("1.5::red hair::, x", "(red hair:1.5), x"), ("saber (fate), {x}", "saber \\(fate\\), (x:1.05)"),
        ("{open", "open"),
    ],
)  # fmt: skip
def test_novelais_brackets(theirs, ours):
    assert novelai.weighted(theirs) == ours


def test_invokeai_3():
    data = {
        "generation_mode": "img2img", "positive_prompt": "a (red cat)1.2 on grass++", "negative_prompt": "blurry",
        "width": 512, "height": 640, "seed": 99, "rand_device": "cpu", "cfg_scale": 7.5, "steps": 30,
        "scheduler": "dpmpp_2m_k", "clip_skip": 1, "strength": 0.6, "app_version": "5.0.0",
        "model": {"key": "x", "hash": "blake3:ab", "name": "dreamshaper", "base": "sd-1", "type": "main"},
        "loras": [{"model": {"name": "ink", "type": "lora"}, "weight": 0.75}], "vae": None,
    }  # fmt: skip
    values = read(invokeai_metadata=json.dumps(data), invokeai_graph="{}")
    assert values == {
        "Prompt": "a (red cat:1.2) on (grass:1.21) <lora:ink:0.75>", "Negative prompt": "blurry", "Steps": "30",
        "Sampler": "DPM++ 2M", "Schedule type": "Karras", "CFG scale": "7.5", "Seed": "99", "Size-1": "512",
        "Size-2": "640", "Model": "dreamshaper", "Denoising strength": "0.6", "Clip skip": "2", "RNG": "CPU",
    }  # fmt: skip
    older = {**data, "generation_mode": "txt2img", "model": {"model_name": "sd15", "base_model": "sd-1"},
             "loras": [{"lora": {"model_name": "old"}, "weight": 1}]}  # fmt: skip
    values = read(invokeai_metadata=json.dumps(older))
    assert values["Model"] == "sd15" and "<lora:old:1>" in values["Prompt"] and "Denoising strength" not in values


def test_invokeai_2_and_1():
    image = {
        "prompt": [{"prompt": "a castle [people, cars]", "weight": 1}], "steps": 50, "cfg_scale": 7.5, "height": 512,
        "width": 704, "seed": 3, "type": "txt2img", "sampler": "k_lms", "seamless": False,
    }  # fmt: skip
    data = {"model": "stable diffusion", "model_weights": "stable-diffusion-1.5", "model_hash": "cc6cb27103417325ff94",
            "app_version": "2.2.4", "image": image}  # fmt: skip
    values = read(**{"sd-metadata": json.dumps(data), "Dream": '"x" -s 1'})
    assert (values["Prompt"], values["Negative prompt"], values["Sampler"]) == ("a castle", "people, cars", "LMS")
    assert values["Model hash"] == "cc6cb27103" and values["Size-1"] == "704"
    values = read(Dream='"a castle, blue" -s 50 -S 123 -W 512 -H 448 -C 7.5 -A k_euler_a')
    assert values["Prompt"] == "a castle, blue" and values["Seed"] == "123" and values["Sampler"] == "Euler a"


def test_invokeais_weights():
    assert weighted("sci-fi, well-lit (a)++ b-- c") == "sci-fi, well-lit (a:1.21) (b:0.81) c"


def test_fooocus():
    data = {
        "base_model": "juggernautXL_v8", "base_model_hash": "aeb7e9e689", "clip_skip": 2, "guidance_scale": 4,
        "full_prompt": ["a cat", "cinematic still a cat, film grain"], "full_negative_prompt": ["ugly", "ugly"],
        "loras": [["offset.safetensors", 0.1, "4852686128"]], "metadata_scheme": "fooocus", "prompt": "a cat",
        "negative_prompt": "", "refiner_model": "None", "refiner_switch": 0.5, "resolution": "(1152, 896)",
        "sampler": "dpmpp_2m_sde_gpu", "scheduler": "karras", "seed": "5", "sharpness": 2, "steps": 30,
        "styles": "['Fooocus V2']", "vae": "Default (model)", "version": "Fooocus v2.5.5",
    }  # fmt: skip
    found = translate(json.dumps(data), {"fooocus_scheme": "fooocus"}, SIZE)
    values = parse_infotext(found.infotext, defaults=False)
    assert found.program == "Fooocus"
    assert values["Prompt"] == "a cat, cinematic still a cat, film grain <lora:offset:0.1>"
    assert (values["Negative prompt"], values["Clip skip"], values["Size-1"]) == ("ugly", "2", "1152")
    assert (values["Sampler"], values["Schedule type"]) == ("DPM++ 2M SDE", "Karras")
    assert (values["Model"], values["Model hash"], values["Seed"]) == ("juggernautXL_v8", "aeb7e9e689", "5")
    assert "Refiner" not in values and "VAE" not in values and values["Sharpness"] == "2"
    old = {k: v for k, v in data.items() if k not in ("loras", "full_prompt")} | {"lora_combined_1": "ink : 0.5"}
    assert read(json.dumps(old))["Prompt"] == "a cat <lora:ink:0.5>"


def test_swarmui():
    params = {
        "prompt": "a cat", "negativeprompt": "bad", "model": "OfficialStableDiffusion/sd_xl_base_1.0.safetensors",
        "seed": 7, "steps": 20, "cfgscale": 7.0, "width": 1024, "height": 768, "sampler": "euler_ancestral",
        "scheduler": "karras", "loras": ["ink", "b"], "loraweights": ["0.5"], "swarm_version": "0.9.5",
    }  # fmt: skip
    values = read(json.dumps({"sui_image_params": params, "sui_extra_data": {"date": "x"}}))
    assert values["Prompt"] == "a cat <lora:ink:0.5><lora:b:1>" and values["Model"] == "sd_xl_base_1.0"
    assert (values["Sampler"], values["Schedule type"], values["Size-2"]) == ("Euler a", "Karras", "768")


def test_draw_things_and_easy_diffusion():
    comment = {"c": "a fox", "uc": "bad", "steps": 20, "scale": 7, "seed": 4, "sampler": "DPM++ 2M Karras",
               "model": "sd_v1.5_f16.ckpt", "size": "512x512",
               "lora": [{"model": "ink_f16.ckpt", "weight": 0.6}]}  # fmt: skip
    escaped = json.dumps(comment).replace('"', "&quot;")
    item = f'<rdf:li xml:lang="x-default">{escaped}</rdf:li>'
    xmp = f"<x><exif:UserComment><rdf:Alt>{item}</rdf:Alt></exif:UserComment></x>"
    values = read(xmp=xmp)
    assert values["Prompt"] == "a fox <lora:ink_f16:0.6>" and values["Schedule type"] == "Karras"
    values = read(
        prompt="a dog", negative_prompt="bad", num_inference_steps="25", sampler_name="euler_a", guidance_scale="7.5",
        seed="8", width="512", height="512", use_stable_diffusion_model="sd-v1-5",
    )  # fmt: skip
    assert (values["Prompt"], values["Sampler"], values["Model"]) == ("a dog", "Euler a", "sd-v1-5")


NESTED = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=8,
)  # fmt: skip
KEYS = ("prompt", "workflow", "invokeai_metadata", "sd-metadata", "Dream", "Comment", "xmp")


@settings(max_examples=150, deadline=None)
@given(key=st.sampled_from(KEYS), data=NESTED, inner=st.sampled_from(("image", "1", "nodes", "c", "sui_image_params")))
def test_nothing_breaks_it(key, data, inner):
    node = {inner: {"class_type": "KSampler", "inputs": data}}
    for text in (json.dumps(data), json.dumps({inner: data}), json.dumps(node)):
        translate("", {key: text, "Software": "NovelAI"}, SIZE)
        translate(text, {}, SIZE)
