"""Weighted spans: what (word:1.2), [word] and BREAK say about the weight of each run of text."""

from __future__ import annotations

import re
from typing import NamedTuple


class Span(NamedTuple):
    """A run of text and the factor of its tokens. `BREAK` exactly is the wish for a new chunk."""

    text: str
    weight: float


BREAK = Span("BREAK", -1.0)
ROUND = 1.1
SQUARE = 1 / 1.1
#: Brackets opened inside this many open ones still pair, but weigh nothing: it keeps hostile prompts linear,
#: and 1.1 to this power is far beyond anything a model can follow.
DEPTH = 256

_TOKEN = re.compile(
    r"""
    \\[()\[\]\\]                # an escaped bracket or backslash
    | \\                        # a lone backslash vanishes
    | [(\[]
    | :\s*([+-]?[.0-9]+)\s*\)   # the weight that ends a round bracket
    | [)\]]
    | [^\\()\[\]:]+
    | :
    """,
    re.VERBOSE,
)
_BREAK = re.compile(r"\bBREAK\b")


def parse_emphasis(text: str) -> list[Span]:
    """The weighted spans of a text, never empty. Never raises.

    `(x)` multiplies by 1.1, `[x]` by 1/1.1, `(x:w)` by w; nesting multiplies. Brackets left open end with the
    text, closers without an opener are text. A malformed number such as `1.2.3` is text.
    """
    reader = _Reader()
    for match in _TOKEN.finditer(text):
        reader.feed(match.group(0), match.group(1))
    return reader.finish()


class _Reader:
    """Round and square brackets keep a stack each: `(a [b) c]` weighs a and b, then b and c."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.weights: list[float] = []
        self.round: list[int | None] = []
        self.square: list[int | None] = []

    def feed(self, token: str, weight: str | None) -> None:
        if weight is not None and self.round:
            factor = _number(weight)
            if factor is None:
                self._text(token[:-1])
                factor = ROUND
            self._scale(self.round.pop(), factor)
        elif token == "(":
            self._open(self.round)
        elif token == "[":
            self._open(self.square)
        elif token == ")" and self.round:
            self._scale(self.round.pop(), ROUND)
        elif token == "]" and self.square:
            self._scale(self.square.pop(), SQUARE)
        elif token[0] == "\\":
            self._add(token[1:], 1.0)
        else:
            self._text(token)

    def finish(self) -> list[Span]:
        for start in self.round:
            self._scale(start, ROUND)
        for start in self.square:
            self._scale(start, SQUARE)
        return _merged(self.texts, self.weights) or [Span("", 1.0)]

    def _open(self, stack: list[int | None]) -> None:
        deep = len(self.round) + len(self.square) >= DEPTH
        stack.append(None if deep else len(self.texts))

    def _scale(self, start: int | None, factor: float) -> None:
        if start is not None:
            self.weights[start:] = [weight * factor for weight in self.weights[start:]]

    def _add(self, text: str, weight: float) -> None:
        self.texts.append(text)
        self.weights.append(weight)

    def _text(self, text: str) -> None:
        parts = _BREAK.split(text)
        for index, part in enumerate(parts):
            # Spaces beside the word go with it. Not in the pattern: a long row of spaces would be tried from each.
            if index:
                self._add(*BREAK)
                part = part.lstrip()
            self._add(part.rstrip() if index < len(parts) - 1 else part, 1.0)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _merged(texts: list[str], weights: list[float]) -> list[Span]:
    """Neighbours of exactly equal weight become one span, so that a word cut by an escape is tokenised whole."""
    spans: list[Span] = []
    start = 0
    for index in range(1, len(texts) + 1):
        if index == len(texts) or weights[index] != weights[start]:
            spans.append(Span("".join(texts[start:index]), weights[start]))
            start = index
    return spans
