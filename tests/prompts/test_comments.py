"""strip_comments against the recorded cases."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atelier.prompts.comments import strip_comments
from tests.prompts.cases import cases


@pytest.mark.parametrize("case", cases("comment"))
def test_recorded(case: dict) -> None:
    assert strip_comments(case["input"]) == case["expect"]


@given(st.text(alphabet="ab#\n ", max_size=60))
def test_no_comment_is_left(text: str) -> None:
    assert "#" not in strip_comments(text)
    if "#" not in text:
        assert strip_comments(text) == text
