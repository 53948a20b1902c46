"""split_and against the recorded cases."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atelier.prompts.compose import split_and
from tests.prompts.cases import cases


@pytest.mark.parametrize("case", cases("and"))
def test_recorded(case: dict) -> None:
    assert [list(part) for part in split_and(case["input"])] == case["expect"]


@given(st.text(max_size=100))
def test_one_part_more_than_words_and(text: str) -> None:
    parts = split_and(text)
    assert len(parts) >= 1
    assert all(isinstance(part.weight, float) for part in parts)


@given(st.lists(st.tuples(st.text(alphabet="ab c", min_size=1).filter(str.strip), st.integers(-30, 30)), min_size=1))
def test_weights_come_back(parts: list) -> None:
    text = " AND ".join(f"{words}: {weight / 10}" for words, weight in parts)
    assert [part.weight for part in split_and(text)] == [weight / 10 for _, weight in parts]


def test_long_runs_of_spaces() -> None:
    assert split_and(" " * 20_000 + "x" + " " * 20_000)[0].text.strip() == "x"


def test_long_runs_of_digits() -> None:
    assert split_and("a:" + "1" * 100_000 + "x")[0].weight == 1.0
