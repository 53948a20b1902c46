"""A1111's flat form of a request."""

from __future__ import annotations

import json

import pytest
from hypothesis import given

from atelier.base.errors import BadRequest, NotFound
from atelier.base.refs import ImageRef
from atelier.params.flat import A1111_PART, flat_echo, flat_schema, request_from_flat, request_to_flat
from atelier.params.request import GenerationRequest
from tests.params.strategies import requests


def store(field: str, text: str) -> ImageRef:
    return ImageRef(text[0] * 64)


def test_the_defaults_are_those_of_the_api() -> None:
    request = request_from_flat({}, "txt2img")
    assert (request.sampling.steps, request.sampling.sampler, request.hires.denoising_strength) == (50, "Euler", 0.75)
    assert request.output.save_images is False
    assert request.seed.resize_from_w == -1
    image = request_from_flat({"init_images": ["a"]}, "img2img", store=store)
    assert (image.mask.fill, image.mask.only_masked, image.mask.padding) == (0, True, 0)


def test_null_is_absent_and_unknown_is_ignored() -> None:
    request = request_from_flat({"steps": None, "width": None, "refund": 1, "mask_blur_x": 9}, "txt2img")
    assert request == request_from_flat({}, "txt2img")


def test_the_sampler() -> None:
    assert request_from_flat({"sampler_index": "Euler a"}, "txt2img").sampling.sampler == "Euler a"
    both = {"sampler_index": "Euler a", "sampler_name": "DDIM"}
    assert request_from_flat(both, "txt2img").sampling.sampler == "DDIM"
    assert request_from_flat({"sampler_name": ""}, "txt2img").sampling.sampler == "Euler"


def test_hires() -> None:
    same = "Use same checkpoint"
    data = {"enable_hr": True, "denoising_strength": 0, "hr_upscaler": None, "hr_checkpoint_name": same}
    request = request_from_flat(data, "txt2img")
    assert request.hires.enabled and request.hires.denoising_strength == 0 and request.hires.upscaler == "Latent"
    assert request.hires.checkpoint is None
    old = {"enable_hr": True, "width": 1024, "height": 768, "firstphase_width": 512, "firstphase_height": 384}
    request = request_from_flat(old, "txt2img")
    assert (request.size.width, request.size.height) == (512, 384)
    assert (request.hires.resize_x, request.hires.resize_y) == (1024, 768)


def test_img2img() -> None:
    data = {"init_images": ["a", "b"], "batch_size": 4, "mask": "c", "mask_blur": 7, "denoising_strength": 0.3,
            "inpainting_mask_invert": 1}  # fmt: skip
    request = request_from_flat(data, "img2img", store=store)
    assert request.source.images == (ImageRef("a" * 64), ImageRef("b" * 64)) and request.batch.size == 2
    assert request.mask.image == ImageRef("c" * 64) and (request.mask.blur_x, request.mask.blur_y) == (7, 7)
    assert request.source.denoising_strength == 0.3 and request.mask.invert is True


def test_settings_and_scripts() -> None:
    data = {"override_settings": {"sd_vae": "None"}, "script_name": "An extension's", "script_args": [1, "a"],
            "alwayson_scripts": {"ControlNet": {"args": []}}}  # fmt: skip
    request = request_from_flat(data, "txt2img")
    assert request.overrides == {"sd_vae": "None"}
    assert request.extras[A1111_PART]["script_args"] == [1, "a"]
    assert A1111_PART not in request_from_flat({"alwayson_scripts": {}, "script_args": []}, "txt2img").extras


def test_built_in_scripts_travel_by_name() -> None:
    data = {"script_name": "x/y/z PLOT", "script_args": [4, "1-3", [], 0, "", [], 0, "", [], False],
            "alwayson_scripts": {"ControlNet": {"args": []}}}  # fmt: skip
    request = request_from_flat(data, "txt2img")
    asked = request.extras["script"]
    assert asked["name"] == "X/Y/Z plot" and asked["values"]["x_type"] == "4" and not asked["values"]["draw_legend"]
    assert request.extras[A1111_PART] == {"alwayson_scripts": {"ControlNet": {"args": []}}}
    flat = request_to_flat(request)
    assert flat["script_name"] == "X/Y/Z plot" and flat["script_args"][:2] == ["4", "1-3"]
    with pytest.raises(BadRequest, match="margin_size"):
        request_from_flat({"script_name": "Prompt matrix", "script_args": [1, 1, "positive", "comma", -1]}, "txt2img")
    # A script of img2img is none of txt2img's.
    assert "script" not in request_from_flat({"script_name": "Loopback"}, "txt2img").extras


def test_infotext_brings_a_script_back() -> None:
    text = 'a|b\nSteps: 3, Sampler: Heun, Seed: 9, Script: X/Y/Z plot, X Type: CFG Scale, X Values: "1, 2", Version: x'
    request = request_from_flat({"infotext": text}, "txt2img")
    values = request.extras["script"]["values"]
    assert (values["x_type"], values["x_values"], values["y_type"]) == ("CFG Scale", "1, 2", "Nothing")
    assert "script" not in request_from_flat({"infotext": text.replace("X/Y/Z plot", "Moon")}, "txt2img").extras


def test_infotext_fills_what_is_not_given() -> None:
    text = "from text\nNegative prompt: bad\nSteps: 33, Sampler: Heun, Seed: 9, Size: 640x512, Clip skip: 2"
    data = {"infotext": text, "steps": 5, "override_settings": {"randn_source": "NV"}}
    request = request_from_flat(data, "txt2img")
    assert (request.prompt.positive, request.sampling.steps, request.sampling.sampler) == ("from text", 5, "Heun")
    assert (request.seed.seed, request.size.width) == (9, 640)
    assert request.overrides == {"randn_source": "NV", "CLIP_stop_at_last_layers": 2}


@pytest.mark.parametrize(("data", "kind", "field"), [
    ({"width": 0}, "txt2img", "width"),
    ({"n_iter": "x"}, "txt2img", "n_iter"),
    ({"denoising_strength": 2}, "txt2img", "denoising_strength"),
    ({"hr_scale": 99}, "txt2img", "hr_scale"),
    ({"enable_hr": True, "firstphase_width": 3}, "txt2img", "width"),
    ({"override_settings": []}, "txt2img", "override_settings"),
    ({"init_images": "x"}, "img2img", "init_images"),
    ({"init_images": ["a", "b"]}, "img2img", "init_images"),
    ({"init_images": [5]}, "img2img", "init_images.0"),
    ({"init_images": ["a"], "mask_blur": 9999}, "img2img", "mask_blur_x"),
])  # fmt: skip
def test_errors_name_the_flat_field(data: dict, kind: str, field: str) -> None:
    with pytest.raises(BadRequest) as caught:
        request_from_flat(data, kind, store=store)
    assert caught.value.field == field


def test_img2img_needs_a_picture() -> None:
    with pytest.raises(NotFound):
        request_from_flat({}, "img2img", store=store)


def test_the_schema() -> None:
    for kind in ("txt2img", "img2img"):
        schema = flat_schema(kind)
        assert all(value.get("description") for value in schema["properties"].values())
        json.dumps(schema)
    assert flat_schema("txt2img")["properties"]["steps"]["default"] == 50
    assert "hr_scale" not in flat_schema("img2img")["properties"]
    assert "mask" not in flat_schema("txt2img")["properties"]
    assert None in flat_schema("img2img")["properties"]["resize_mode"]["enum"]


def test_the_echo() -> None:
    echo = flat_echo({"steps": 3, "init_images": ["a"], "unknown": 1}, "img2img")
    assert echo["steps"] == 3 and echo["cfg_scale"] == 7.0 and echo["init_images"] is None and "unknown" not in echo
    assert flat_echo({"init_images": ["a"], "include_init_images": True}, "img2img")["init_images"] == ["a"]


@given(requests())
def test_round_trip(request: GenerationRequest) -> None:
    again = request_from_flat(json.loads(json.dumps(request_to_flat(request))), request.kind)
    left, right = request_to_flat(again), request_to_flat(request)
    # Null means the API's default there, and an empty name no sampler at all.
    assert {k: v for k, v in left.items() if right[k] is not None} == {k: v for k, v in right.items() if v is not None}


def test_a_refiner_needs_no_switch() -> None:
    assert not request_from_flat({}, "txt2img").refiner.enabled
    for kind in ("txt2img", "img2img"):
        data = {"refiner_checkpoint": "other", "init_images": ["a"]}
        request = request_from_flat(data, kind, store=store)
        # Null means at once, as in A1111; the page has 0.8.
        assert request.refiner_checkpoint == "other" and request.refiner.switch_at is None
        assert request_from_flat({**data, "refiner_switch_at": 0.4}, kind, store=store).refiner.switch_at == 0.4
    assert request_from_flat({"refiner_checkpoint": "None"}, "txt2img").refiner_checkpoint == ""
    with pytest.raises(BadRequest) as error:
        request_from_flat({"refiner_checkpoint": "x", "refiner_switch_at": 1.5}, "txt2img")
    assert error.value.field == "refiner_switch_at"


def test_a_finished_picture_for_hires_fix() -> None:
    request = request_from_flat({"firstpass_image": "a", "enable_hr": True, "hr_cfg": 4}, "txt2img", store=store)
    assert request.hires.image == ImageRef("a" * 64) and request.hires.cfg_scale == 4 and request.kind == "txt2img"


def test_soft_inpainting_is_a_script_there() -> None:
    scripts = {"soft inpainting": {"args": [True, 2, None, 8]}, "Other": {"args": []}}
    data = {"init_images": ["a"], "mask": "b", "alwayson_scripts": scripts}
    request = request_from_flat(data, "img2img", store=store)
    soft = request.soft
    assert soft.enabled and (soft.mask_blend_power, soft.mask_blend_scale, soft.detail_preservation) == (2, 0.5, 8)
    assert request.extras[A1111_PART]["alwayson_scripts"] == {"Other": {"args": []}}
    told = request_to_flat(request)
    assert told["alwayson_scripts"]["soft inpainting"]["args"][:2] == [True, 2] and "Other" in told["alwayson_scripts"]
    with pytest.raises(BadRequest) as error:
        request_from_flat({**data, "alwayson_scripts": {"Soft Inpainting": {"args": ["so"]}}}, "img2img", store=store)
    assert error.value.field == "soft.enabled"
