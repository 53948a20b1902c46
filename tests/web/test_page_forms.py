"""Controls read and show what declarations mean: words for numbers, empty choices, limits, lists."""

from __future__ import annotations

import gradio as gr
import pytest

from atelier.base.errors import BadRequest
from atelier.params.request import DECLARATIONS, GenerationRequest
from atelier.web.forms import FIRST, UNPLACED, Form

PLACED = sorted({d.path for d in DECLARATIONS} - UNPLACED)


def form_of(*paths: str, names=(), **rest) -> Form:
    form = Form("txt2img", lambda source: names, **rest)
    with gr.Blocks():
        for path in paths:
            form.place(path)
    return form


@pytest.mark.parametrize("path", PLACED)
def test_what_is_shown_is_read_back(path):
    form = form_of(path)
    request = GenerationRequest()
    shown = form.show(request)
    # A slider cannot be empty: it has a first value of its own.
    assert form.request(shown).get(path) == FIRST.get(path, request.get(path))
    assert form.controls[path].component.elem_id.startswith("txt2img_")


@pytest.mark.parametrize(
    ("path", "shown", "value"),
    [
        ("mask.invert", "Inpaint not masked", True), ("mask.fill", "latent noise", 2),
        ("mask.only_masked", "Only masked", True), ("source.resize_mode", "Resize and fill", 2),
        ("hires.sampler", "Use same sampler", None), ("hires.sampler", "", None),
        ("hires.checkpoint", "Use same checkpoint", None), ("hires.scheduler", "Karras", "Karras"),
        ("size.width", 2304, 2304), ("size.width", None, 512), ("seed.seed", None, -1),
        ("prompt.styles", ["a", "b"], ("a", "b")), ("sampling.steps", 20.0, 20), ("prompt.positive", None, ""),
    ],
)  # fmt: skip
def test_reading(path, shown, value):
    assert form_of(path).values([shown])[path] == value


@pytest.mark.parametrize(
    ("path", "shown"),
    [("size.width", 100_000), ("size.width", 0), ("sampling.steps", "many"), ("sampling.cfg_scale", float("nan")),
     ("mask.fill", "red")],
)  # fmt: skip
def test_refusing(path, shown):
    with pytest.raises(BadRequest) as caught:
        form_of(path).values([shown])
    assert caught.value.field == path


def test_both_directions_of_mask_blur_follow_one_slider():
    assert form_of("mask.blur_x").values([9]) == {"mask.blur_x": 9, "mask.blur_y": 9}


def test_sliders_take_values_beyond_their_ends():
    slider = form_of("size.width").controls["size.width"].component
    assert slider.preprocess(4096) == 4096


def test_choices_come_from_the_engine():
    form = form_of("hires.sampler", "sampling.sampler", names=("Euler", "Heun"))
    both = [control.component.choices for control in form.controls.values()]
    assert [name for _, name in both[0]] == ["Use same sampler", "Euler", "Heun"]
    assert [name for _, name in both[1]] == ["Euler", "Heun"]
    unknown = form_of("sampling.sampler").controls["sampling.sampler"].component
    assert unknown.value == "DPM++ 2M" and unknown.allow_custom_value


def test_kept_values_that_do_not_fit_any_more_are_left_out():
    form = form_of("size.width", "size.height")
    assert form.show_some({"size.width": 10**9, "size.height": 256}) == [gr.skip(), 256]


def test_first_values_replace_declared_ones():
    assert form_of("size.width", defaults={"size.width": 128}).controls["size.width"].component.value == 128


def test_a_value_has_one_place():
    with pytest.raises(ValueError, match="twice"):
        form_of("size.width", "size.width")
    with pytest.raises(ValueError, match="no declared value"):
        form_of("size.depth")


def test_a_page_older_than_the_program_is_told_to_reload():
    with pytest.raises(BadRequest, match="Reload"):
        form_of("size.width", "size.height").values([1])
