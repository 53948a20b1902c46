"""Axes of a grid and their values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atelier.base.errors import BadRequest
from atelier.params.request import DECLARATIONS, GenerationRequest
from atelier.params.sweep import apply_value, axes, find_axis, parse_numbers, parse_values, split_csv


@pytest.mark.parametrize(("label", "text", "expected"), [
    ("Steps", "1, 2,5", (1, 2, 5)),
    ("Steps", "1-5", (1, 2, 3, 4, 5)),
    ("Steps", "1-10 (+2)", (1, 3, 5, 7, 9)),
    ("Steps", "1-10 [5]", (1, 3, 5, 7, 10)),
    ("Steps", "5-1 (-2)", (5, 3, 1)),
    ("Steps", "3-1", (3, 2, 1)),
    ("Steps", "10, 1-3 [2] , 7", (10, 1, 3, 7)),
    ("CFG Scale", "1-2 (+0.25)", (1, 1.25, 1.5, 1.75, 2)),
    ("CFG Scale", "0-1 [3], -2", (0, 0.5, 1, -2)),
    ("CFG Scale", "0.1-1 (+0.1)", tuple(round(k / 10, 1) for k in range(1, 11))),
    ("Seed", f"-1, {2**60 + 1}", (-1, 2**60 + 1)),
    ("Sampler", 'Euler a, "DPM++ 2M, x"', ("Euler a", "DPM++ 2M, x")),
    ("Prompt S/R", 'cat, "big, dog"', (("cat", "cat"), ("cat", "big, dog"))),
    ("Prompt order", "a, b", (("a", "b"), ("b", "a"))),
    ("Size", "512x768, 64×64", ((512, 768), (64, 64))),
    ("Styles", '"a,b", c', (("a", "b"), ("c",))),
    ("Clip skip", "1-3", (1, 2, 3)),
    ("RNG source", "cpu, NV", ("CPU", "NV")),
    ("Always discard next-to-last sigma", "True, false", (True, False)),
    ("Hires. fix", "true, false", (True, False)),
    ("Nothing", "", (None,)),
])  # fmt: skip
def test_values(label: str, text: str, expected: tuple) -> None:
    values = parse_values(find_axis(label, "txt2img"), text)
    assert values == pytest.approx(expected) if label == "CFG Scale" else values == expected


@pytest.mark.parametrize(("label", "text"), [
    ("Steps", "x"), ("Steps", "1.5-3"), ("Steps", "0"), ("Steps", ""), ("Steps", "1-5 (-1)"), ("Steps", "1-5 (+0)"),
    ("Steps", "1-5 [0]"), ("Seed", "1-100000"), ("CFG Scale", "inf"), ("Size", "512"), ("RNG source", "moon"),
    ("Prompt order", "a,b,c,d,e,f,g,h"), ("Steps", "1-5 [99999]"),
])  # fmt: skip
def test_what_is_no_value(label: str, text: str) -> None:
    with pytest.raises(BadRequest):
        parse_values(find_axis(label, "txt2img"), text)


@given(st.text(max_size=40) | st.text(alphabet="0123456789.-+()[] ", max_size=20), st.booleans())
def test_numbers_or_a_clear_refusal(text: str, whole: bool) -> None:
    try:
        found = parse_numbers(text, whole, "Steps")
    except BadRequest:
        return
    assert found and len(found) <= 1000


@given(st.integers(-100, 100), st.integers(-100, 100))
def test_ranges_hold_both_ends(start: int, end: int) -> None:
    found = parse_numbers(f"{start}-{end}", True, "Seed")
    assert (found[0], found[-1], len(found)) == (start, end, abs(end - start) + 1)


@given(st.text(max_size=60))
def test_csv(text: str) -> None:
    try:
        assert all(item == item.strip() != "" for item in split_csv(text))
    except BadRequest:
        assert text


def test_the_order_of_axes_is_a1111s() -> None:
    txt2img = [axis.label for axis in axes("txt2img")]
    assert txt2img[:7] == ["Nothing", "Seed", "Var. seed", "Var. strength", "Steps", "Hires steps", "CFG Scale"]
    img2img = [axis.label for axis in axes("img2img")]
    assert img2img[4:7] == ["Steps", "CFG Scale", "Image CFG Scale"]
    assert "Hires steps" not in img2img and "Mask blur" in img2img and "Mask blur" not in txt2img


def test_every_axis_leads_to_a_declared_value() -> None:
    for kind in ("txt2img", "img2img"):
        known = axes(kind)
        assert len({axis.target for axis in known}) == len(known)
        for axis in known:
            if axis.declaration is not None and not axis.target.startswith("settings."):
                assert axis.declaration in DECLARATIONS


def test_values_are_put_in_place() -> None:
    request = GenerationRequest().with_values(**{"prompt.positive": "red fox and red cat", "prompt.styles": ("ink",)})

    def put(label: str, text: str) -> list[GenerationRequest]:
        axis = find_axis(label, "txt2img")
        return [apply_value(request, axis, value) for value in parse_values(axis, text)]

    assert [r.sampling.steps for r in put("Steps", "1-3")] == [1, 2, 3]
    assert [r.overrides for r in put("Clip skip", "1,2")] == [{"CLIP_stop_at_last_layers": k} for k in (1, 2)]
    assert [(r.size.width, r.size.height) for r in put("Size", "64x128")] == [(64, 128)]
    assert [r.prompt.positive for r in put("Prompt S/R", "fox, dog")] == ["red fox and red cat", "red dog and red cat"]
    assert [r.prompt.positive for r in put("Prompt order", "fox, cat")][1] == "red cat and red fox"
    assert [r.prompt.styles for r in put("Styles", "photo")] == [("ink", "photo")]
    assert [r.hires.denoising_strength for r in put("Denoising", "0.25")] == [0.25]
    assert put("Nothing", "") == [request]
    with pytest.raises(BadRequest):
        put("Prompt S/R", "bird, x")
    with pytest.raises(BadRequest):
        put("Prompt order", "bird, fox")
    with pytest.raises(BadRequest):
        put("Denoising", "7")


def test_unknown_axis() -> None:
    with pytest.raises(BadRequest):
        find_axis("Moon", "txt2img")
