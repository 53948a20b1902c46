"""schedule against the recorded cases and its own laws."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atelier.prompts.schedule import ScheduledText, index_at, schedule
from tests.prompts.cases import cases

SOUP = st.text(alphabet="ab()[]:|\\.1e-5 ", max_size=50)


@pytest.mark.parametrize("case", cases("schedule"))
def test_recorded(case: dict) -> None:
    found = schedule(case["input"], case["steps"], hires_steps=case["hires_steps"], old_rule=case["old"])
    assert [list(entry) for entry in found] == case["expect"]


@pytest.mark.parametrize(("text", "expected"), [
    ("[a:b:1e999]", [(10, "a")]),
    ("[a:b:-1e999]", [(10, "b")]),
    ("[a:b:1.e999]", [(10, "a")]),
    ("[a (b] c) [d:e:5]", [(5, "[a (b] c) d"), (10, "[a (b] c) e")]),
    ("[x [a:b:c:5] :3]", [(10, "[x [a:b:c:5] :3]")]),
    ("(a [b:c:5]:1.2)", [(5, "(a b:1.2)"), (10, "(a c:1.2)")]),
    ("[a:b:5][c|d", [(10, "[a:b:5][c|d")]),
    ("[a\nb:c:5]", [(5, "a\nb"), (10, "c")]),
])  # fmt: skip
def test_corners(text: str, expected: list) -> None:
    assert [tuple(entry) for entry in schedule(text, 10)] == expected


@given(
    st.one_of(st.text(max_size=120), SOUP), st.integers(0, 30), st.none() | st.integers(0, 30), st.booleans()
)
def test_laws(text: str, steps: int, hires: int | None, old: bool) -> None:
    found = schedule(text, steps, hires_steps=hires, old_rule=old)
    ends = [entry.until for entry in found]
    assert ends == sorted(set(ends))
    assert ends[0] >= 1
    assert ends[-1] == max(1, steps if hires is None or old else hires)


@given(st.text(alphabet="abc ,()\\x", max_size=40))
def test_text_without_square_brackets_is_untouched(text: str) -> None:
    assert schedule(text, 7) == (ScheduledText(7, text),)


@given(st.lists(st.text(alphabet="abc", max_size=4), min_size=2, max_size=5), st.integers(1, 20))
def test_alternation_goes_round(options: list[str], steps: int) -> None:
    found = schedule(f"[{'|'.join(options)}]", steps)
    assert [entry.text for entry in found] == [options[i % len(options)] for i in range(steps)]


@pytest.mark.parametrize("text", [
    "(" * 5000 + "a" + ")" * 5000,
    "[" * 5000 + "a" + ":3]" * 5000,
    "[" * 5000 + "a" + "|b]" * 4999,
    "[a|" * 5000,
    "[a:" * 5000,
    "[:" * 10_000,
    "([" * 10_000,
])  # fmt: skip
def test_hostile_nesting(text: str) -> None:
    assert schedule(text, 4)[-1].until == 4


def test_a_long_prompt_keeps_its_one_switch() -> None:
    words = "red fox, (white cat:1.2), " * 770
    assert len(words) > 20_000
    assert [entry.until for entry in schedule(words + "[a:b:0.5]", 20)] == [10, 20]


def test_the_first_text_serves_one_call_more() -> None:
    texts = schedule("[a:b:3]", 6)
    assert [index_at(texts, call) for call in range(8)] == [0, 0, 0, 0, 1, 1, 1, 1]
