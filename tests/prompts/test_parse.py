"""parse_prompt: the plan of a prompt."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atelier.prompts.parse import PlannedPart, PromptPlan, parse_prompt, prepare_text
from atelier.prompts.schedule import ScheduledText
from atelier.prompts.styles import Style, StyleBook


def test_parts_and_schedules() -> None:
    plan = parse_prompt("a [b:c:0.5] AND d :0.5", 10)
    assert plan == PromptPlan((
        PlannedPart(1.0, (ScheduledText(5, "a b"), ScheduledText(10, "a c"))),
        PlannedPart(0.5, (ScheduledText(10, " d"),)),
    ))  # fmt: skip
    assert plan.texts() == ("a b", "a c", " d")
    assert {plan: 1}[parse_prompt("a [b:c:0.5] AND d :0.5", 10)] == 1


def test_the_negative_prompt_is_not_split() -> None:
    assert parse_prompt("a AND b", 5, split=False).texts() == ("a AND b",)


def test_an_alternation_is_encoded_once_for_each_text() -> None:
    assert parse_prompt("[a|b]", 20).texts() == ("a", "b")


def test_prepare(tmp_path: Path) -> None:
    book = StyleBook([tmp_path / "s.csv"])
    book.put(Style("ink", "{prompt}, ink # thin", "photo"))
    assert prepare_text("cat", "", ["ink"], book) == ("cat, ink \n", "photo")
    assert prepare_text("cat", "", ["ink"], book, comments=False) == ("cat, ink # thin", "photo")
    assert prepare_text("a # b", "", [], None) == ("a \n", "")


@given(st.one_of(st.text(max_size=200), st.text(alphabet="()[]:|\\ AND1.BREAK", max_size=80)), st.integers(1, 40))
def test_never_raises(text: str, steps: int) -> None:
    plan = parse_prompt(text, steps, hires_steps=steps)
    assert plan.texts()
    assert all(part.schedule[-1].until == steps for part in plan.parts)


@pytest.mark.parametrize("text", ["a" * 20_000, "[a:b:.5]" * 2500, "a AND " * 3300, "((a:1.1) " * 2000])
def test_twenty_thousand_characters(text: str) -> None:
    assert parse_prompt(text, 20).texts()
