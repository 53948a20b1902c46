"""Parameters of pictures that a script has put together: those of a picture that it made, with the script's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from atelier.params.infotext import quote

#: what stands at the end of the line
_TAIL = re.compile(r"(, (?:Version|User): (?:\"(?:\\.|[^\\\"])*\"|[^,]*))+$")

_SIZE = re.compile(r"(?<=, )Size: [0-9]+x[0-9]+")


def with_fields(text: str, fields: Mapping[str, Any]) -> str:
    """The text with more keys before its version; keys that it holds already are not written twice."""
    head, line_break, last = text.rpartition("\n")
    pairs = [f"{key}: {quote(value)}" for key, value in fields.items() if f", {key}: " not in f", {last}"]
    tail = _TAIL.search(last)
    end = tail.start() if tail else len(last)
    return f"{head}{line_break}{', '.join([last[:end], *pairs])}{last[end:]}"


def with_prompts(text: str, positive: str, negative: str) -> str:
    """The text with other prompts above its line of parameters."""
    last = text.rpartition("\n")[2]
    lines = [positive, f"Negative prompt: {negative}" if negative else "", last]
    return "\n".join(line for line in lines if line)


def with_size(text: str, width: int, height: int) -> str:
    """The text with the size that was asked for in place of that of a piece."""
    head, line_break, last = text.rpartition("\n")
    return f"{head}{line_break}{_SIZE.sub(f'Size: {width}x{height}', last, count=1)}"
