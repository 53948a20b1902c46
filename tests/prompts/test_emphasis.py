"""parse_emphasis against the recorded cases and its own laws."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atelier.prompts.emphasis import BREAK, DEPTH, Span, parse_emphasis
from tests.prompts.cases import KINDS, cases, every_case

SOUP = st.text(alphabet="ab ()[]:|\\.1-,\nBREAK", max_size=60)
WORD = st.text(alphabet="abcdefg ,", min_size=1, max_size=8)

#: The reference raises on a malformed number and the whole job fails; here the number stays as text and the
#: bracket counts as an ordinary one.
CORRECTED = {"attention-30": [["a:1.2.3", 1.1]]}


def test_no_case_is_left_out() -> None:
    assert len(every_case()) == 236
    assert {case["kind"] for case in every_case()} == set(KINDS)


@pytest.mark.parametrize("case", cases("attention"))
def test_recorded(case: dict) -> None:
    expected = CORRECTED.get(case["id"], case["expect"])
    spans = parse_emphasis(case["input"])
    assert [span.text for span in spans] == [text for text, _ in expected]
    assert [span.weight for span in spans] == pytest.approx([weight for _, weight in expected], rel=1e-9)


@pytest.mark.parametrize(("text", "expected"), [
    ("(a:.)", [("a:.", 1.1)]),
    ("a:1.2.3)", [("a:1.2.3)", 1.0)]),
    ("(a [b) c]", [("a ", 1.1), ("b", 1.0), (" c", 1 / 1.1)]),
    ("a\\", [("a", 1.0)]),
    ("  a \n BREAK \t b  ", [("  a", 1.0), ("BREAK", -1.0), ("b  ", 1.0)]),
    ("(x BREAK y:1)", [("x", 1.0), ("BREAK", -1.0), ("y", 1.0)]),
])  # fmt: skip
def test_corners(text: str, expected: list) -> None:
    spans = parse_emphasis(text)
    assert [span.text for span in spans] == [text for text, _ in expected]
    assert [span.weight for span in spans] == pytest.approx([weight for _, weight in expected])


def test_break_is_the_marker() -> None:
    assert parse_emphasis("a BREAK b")[1] == BREAK


@given(st.one_of(st.text(max_size=200), SOUP))
def test_never_raises_and_is_never_empty(text: str) -> None:
    spans = parse_emphasis(text)
    assert spans
    assert all(isinstance(span, Span) and isinstance(span.weight, float) for span in spans)


@given(WORD, st.lists(st.one_of(st.floats(0.1, 3).map(lambda w: round(w, 3)), st.sampled_from("([")), max_size=8))
def test_weights_multiply(word: str, layers: list) -> None:
    text, product = word, 1.0
    for layer in layers:
        if layer == "(":
            text, product = f"({text})", product * 1.1
        elif layer == "[":
            text, product = f"[{text}]", product / 1.1
        else:
            text, product = f"({text}:{layer})", product * layer
    (span,) = parse_emphasis(text)
    assert span.text == word
    assert math.isclose(span.weight, product, rel_tol=1e-9)


@given(st.text(max_size=80))
def test_escaped_text_comes_back_as_it_was(text: str) -> None:
    plain = text.replace("BREAK", "break")
    escaped = "".join(f"\\{char}" if char in "()[]\\" else char for char in plain)
    assert parse_emphasis(escaped) == [Span(plain, 1.0)]


@given(SOUP)
def test_neighbours_have_different_weights(text: str) -> None:
    spans = parse_emphasis(text)
    assert all(a.weight != b.weight for a, b in zip(spans, spans[1:]))


@pytest.mark.parametrize("text", [
    "(" * 5000 + "a" + ")" * 5000, "(a" * 10_000, "[a(b:1.1)" * 2500, "(" * 20_000, " " * 100_000,
])  # fmt: skip
def test_hostile_nesting(text: str) -> None:
    assert parse_emphasis(text)


def test_nesting_beyond_the_limit_weighs_nothing_more() -> None:
    (span,) = parse_emphasis("[" * 2 * DEPTH + "a")
    assert span.weight == pytest.approx((1 / 1.1) ** DEPTH)
