"""Sub-prompts: a prompt split on AND, each part with its weight."""

from __future__ import annotations

import re
from typing import NamedTuple


class SubPrompt(NamedTuple):
    text: str
    weight: float


_AND = re.compile(r"\bAND\b")
_WEIGHT = re.compile(r"\s*([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))")


def split_and(text: str) -> tuple[SubPrompt, ...]:
    """The parts between the words AND; a part may end in `: number`, its weight. Never raises.

    denoised = uncond + sum of weight * cfg * (cond - uncond) over the parts.
    """
    return tuple(_sub_prompt(part) for part in _AND.split(text))


def _sub_prompt(part: str) -> SubPrompt:
    text = part.rstrip()
    head, colon, tail = text.rpartition(":")
    weight = _WEIGHT.fullmatch(tail) if colon else None
    if weight is None:
        return SubPrompt(text, 1.0)
    return SubPrompt(head.rstrip(), float(weight.group(1)))
