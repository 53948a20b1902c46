"""Texts of former versions and other programs."""

from __future__ import annotations

import pytest

from atelier.params.infotext import parse_infotext
from atelier.params.infotext_legacy import parse_version

LINE = "\nSteps: 1, Sampler: Euler, Seed: 1"


@pytest.mark.parametrize(("text", "expected"), [
    ("v1.7.0-225", ((1, 7), 225)),
    ("v1.10.1-5-gabcdef", ((1, 10, 1), 5)),
    ("1.6.0", ((1, 6), 0)),
    ("v1.6.0-RC", ((1, 6), 0)),
    ("f2.0.1v1.10.1-previous-1", None),
    ("Atelier 0.1.0", None),
    ("", None),
])  # fmt: skip
def test_versions(text: str, expected: tuple | None) -> None:
    assert parse_version(text) == expected


def test_our_own_version_implies_nothing() -> None:
    values = parse_infotext("[a:b:5]\nSteps: 1, Sampler: DDIM, Seed: 1, Version: Atelier 0.1.0")
    assert "Old prompt editing timelines" not in values and "Downcast alphas_cumprod" not in values


def test_without_backward_compatibility() -> None:
    text = "[a:b:5]\nSteps: 1, Sampler: DDIM, Seed: 1, Version: v1.5.0"
    assert parse_infotext(text)["Old prompt editing timelines"] is True
    assert "Old prompt editing timelines" not in parse_infotext(text, backcompat=False)


def test_additional_networks() -> None:
    text = (
        f"x{LINE}, AddNet Enabled: True, AddNet Module 1: LoRA, AddNet Model 1: foo(abcdef12), "
        "AddNet Weight A 1: 0.7, AddNet Module 2: LoRA, AddNet Model 2: bar(abcdef12), AddNet Weight A 2: 1"
    )
    assert parse_infotext(text)["Prompt"] == "x\n<lora:foo:0.7><lora:bar:1>"
    assert parse_infotext(text.replace("True", "False"))["Prompt"] == "x"


def test_a_first_pass_without_area() -> None:
    values = parse_infotext(f"x{LINE}, Size: 0x512, First pass size: 0x0")
    assert values["Size-1"] == "0"


def test_a_size_of_hundreds_of_digits_is_a_text() -> None:
    digits = "9" * 5000
    values = parse_infotext(f"x{LINE}, Size: {digits}x1, First pass size: 1x1")
    assert values["Size"] == f"{digits}x1"
