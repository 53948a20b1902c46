"""count_tokens: what the counter beside the prompt shows."""

from __future__ import annotations

import pytest

from atelier.prompts.chunks import Marks
from atelier.prompts.counter import count_tokens

MARKS = Marks(267, 49406, 49407, 49407)


def words(text: str) -> list[int]:
    return [len(word) for word in text.split()]


@pytest.mark.parametrize(("text", "expected"), [
    ("", (0, 75)),
    ("a cat", (2, 75)),
    ("a " * 75, (75, 75)),
    ("a " * 76, (76, 150)),
    ("a cat BREAK b", (76, 150)),
    ("a <lora:x:1> b", (2, 75)),
    ("a b c AND d", (3, 75)),
    ("[a b c d:e:0.5] f", (5, 75)),
])  # fmt: skip
def test_counts(text: str, expected: tuple[int, int]) -> None:
    assert count_tokens(text, words, MARKS) == expected


def test_the_negative_prompt_is_not_split() -> None:
    assert count_tokens("a AND b", words, MARKS, split=False) == (3, 75)
