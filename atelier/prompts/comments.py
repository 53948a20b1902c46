"""Comments: # to the end of the line is not part of a prompt."""

from __future__ import annotations

import re

_LINE = re.compile(r"(?:^|\n)#[^\n]*(?:\n|$)")
_REST = re.compile(r"#[^\n]*(?:\n|$)")


def strip_comments(text: str) -> str:
    """A line that is a comment goes with its line breaks and leaves one; there is no escape for `#`."""
    if "#" not in text:
        return text
    return _REST.sub("\n", _LINE.sub("\n", text))
