"""The texts of one prompt by step: [from:to:when] and [a|b|c]."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class ScheduledText(NamedTuple):
    """`text` is in force up to and including step `until`, counted from 1."""

    until: int
    text: str


class Clock(NamedTuple):
    """How a written moment becomes a step. `length` is the number of model calls of the pass."""

    first: int
    second: int | None
    old_rule: bool

    @property
    def length(self) -> int:
        return self.first if self.second is None or self.old_rule else self.second

    def switch(self, number: str) -> int:
        """The last step of the earlier text, at most `length`; below 1 when it is never used."""
        value = float(number)
        if self.old_rule:
            value = value * self.first if value < 1 else value
        elif "." in number:
            value = value * self.first if self.second is None else (value - 1) * self.second
        elif self.second is not None:
            value -= self.first
        # Clamped before int(): 1e999 is a number that one can write, and infinite.
        return int(max(-1.0, min(float(self.length), value)))


@dataclass(frozen=True)
class Switch:
    """`before` up to and including step `step`, then `after`."""

    step: int
    before: tuple[Item, ...]
    after: tuple[Item, ...]

    def at(self, step: int) -> tuple[Item, ...]:
        return self.before if step <= self.step else self.after


@dataclass(frozen=True)
class Cycle:
    """One option a step, round and round."""

    options: tuple[tuple[Item, ...], ...]

    def at(self, step: int) -> tuple[Item, ...]:
        return self.options[(step - 1) % len(self.options)]


Item = str | Switch | Cycle


@dataclass
class _Frame:
    """An open bracket: where its content begins, and where its separators stand, in the list of items."""

    bracket: str
    start: int
    colons: list[int] = field(default_factory=list)
    pipes: list[int] = field(default_factory=list)


_TOKEN = re.compile(r"(?:[^\\()\[\]:|]|\\.)+|[()\[\]:|\\]", re.DOTALL)
_NUMBER = re.compile(r"\s*([+-]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*")


def schedule(
    text: str, steps: int, *, hires_steps: int | None = None, old_rule: bool = False
) -> tuple[ScheduledText, ...]:
    """The texts of a prompt in order of use. Never raises; the last `until` is the length of the pass.

    `steps` and `hires_steps` count model calls (twice the steps for samplers of second order). With
    `hires_steps` the schedule of the second pass is meant: fractions 1.0 to 2.0 and absolute steps above
    `steps` address it. `old_rule` is the rule before version 1.6: below 1 a fraction, else a step, and the
    second pass keeps the first one's count.

    A text that the grammar cannot read (a bare `|`, a backslash at its end) is used as it is, for all steps.
    """
    clock = Clock(max(1, steps), None if hires_steps is None else max(1, hires_steps), old_rule)
    items = _parse(text, clock)
    if items is None:
        return (ScheduledText(clock.length, text),)
    return tuple(ScheduledText(until, _render(items, until)) for until in _boundaries(items, clock.length))


def index_at(texts: Sequence[ScheduledText], call: int) -> int:
    """Which text the model call number `call`, counted from 0, uses.

    A text serves while `call <= until`, so the first one serves one call more than its number says. Users'
    pictures depend on it.
    """
    for index, entry in enumerate(texts):
        if call <= entry.until:
            return index
    return len(texts) - 1


def _parse(text: str, clock: Clock) -> list[Item] | None:
    """The items of a text, or None where the grammar fails as a whole.

    One scan with a stack. Every bracket has only one possible end, the first closer that its content leaves
    open. When that closer does not fit, the bracket and all around it cannot be groups either and become
    plain characters; what was read inside them stays.
    """
    items: list[Item] = []
    stack: list[_Frame] = []
    for match in _TOKEN.finditer(text):
        token = match.group(0)
        if token == "\\" or (token == "|" and not stack):
            return None
        if token in ("(", "["):
            stack.append(_Frame(token, len(items)))
        elif token == ":" and stack:
            stack[-1].colons.append(len(items))
        elif token == "|":
            stack[-1].pipes.append(len(items))
        if token in (")", "]") and stack:
            node = _close(stack[-1], token, items, clock)
            if node is None:
                if any(frame.pipes for frame in stack):
                    return None
                stack.clear()
            else:
                frame = stack.pop()
                if node:
                    items[frame.start :] = node
                    continue
        items.append(token)
    return None if any(frame.pipes for frame in stack) else items


def _close(frame: _Frame, token: str, items: list[Item], clock: Clock) -> list[Item] | None:
    """What a bracket turns into: a node, [] when it stays text, None when it is no group at all."""
    colons, pipes = frame.colons, frame.pipes
    begin, end = frame.start + 1, len(items)
    if (frame.bracket, token) == ("(", ")"):
        return [] if not pipes and len(colons) <= 1 else None
    if (frame.bracket, token) != ("[", "]") or (pipes and colons):
        return None
    if pipes:
        starts = (begin, *(pipe + 1 for pipe in pipes))
        return [Cycle(tuple(tuple(items[a:b]) for a, b in zip(starts, (*pipes, end))))]
    if not colons:
        return []
    moment = items[colons[-1] + 1 : end]
    number = _NUMBER.fullmatch(moment[0]) if len(moment) == 1 and isinstance(moment[0], str) else None
    if number is None or len(colons) > 2:
        return None
    before = tuple(items[begin : colons[0]]) if len(colons) == 2 else ()
    after = tuple(items[colons[-2] + 1 if len(colons) == 2 else begin : colons[-1]])
    return [Switch(clock.switch(number.group(1)), before, after)]


def _boundaries(items: list[Item], length: int) -> list[int]:
    found = {length}
    pending = list(items)
    while pending:
        item = pending.pop()
        if isinstance(item, Switch):
            if item.step >= 1:
                found.add(item.step)
            pending += (*item.before, *item.after)
        elif isinstance(item, Cycle):
            found.update(range(1, length + 1))
            for option in item.options:
                pending += option
    return sorted(found)


def _render(items: list[Item], step: int) -> str:
    """Written with a stack of its own: nesting is as deep as the user likes."""
    parts: list[str] = []
    pending = items[::-1]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            parts.append(item)
        else:
            pending += item.at(step)[::-1]
    return "".join(parts)
