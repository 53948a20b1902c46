"""Wildcards: __name__ takes a line of a file, {a|b|c} takes one of its options."""

from __future__ import annotations

import fnmatch
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from atelier.base.log import fields, logger

log = logger(__name__)

#: A file may name itself; what is left after so many replacements stays as it is written.
REPLACEMENTS = 1000

_TOKEN = re.compile(r"(?:[^\\{}|\[\]()]|\\.)+|[{}|\[\]()\\]", re.DOTALL)
_WILDCARD = re.compile(r"__([\w*?][\w*?./ -]*?)__")
_COUNT = re.compile(r"\s*([0-9]{1,4})(?:-([0-9]{1,4}))?\$\$(?:([^|$]*)\$\$)?")
_WEIGHT = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)::")


@dataclass(frozen=True)
class Options:
    """`{2-3$$ and $$4::a|b}`: how many are taken, what stands between them, and what each weighs."""

    low: int
    high: int
    separator: str
    options: tuple[tuple[float, tuple[Item, ...]], ...]


Item = str | Options


def expand(text: str, seed: int, folders: Sequence[Path]) -> str:
    """The text with its wildcards and options resolved. Never raises.

    `seed` is the picture's, so that the same seed gives the same text on every machine. `__a/b__` takes a line
    of `a/b.txt` under one of the folders, `__a*__` of all that match; empty lines and lines after `#` do not
    count, and lines may hold wildcards again. Unknown wildcards stay as written, and so do braces without `|`.
    """
    return _Expansion(random.Random(seed), _Shelf(folders)).run(text)


class _Shelf:
    """The wildcard files under some folders, read once."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = tuple(folders)
        self._files: dict[str, Path] | None = None
        self._lines: dict[str, tuple[str, ...]] = {}

    def lines(self, name: str) -> tuple[str, ...]:
        if name not in self._lines:
            names = fnmatch.filter(self.files, name.lower()) if re.search(r"[*?]", name) else (name.lower(),)
            found = (self.files[n] for n in names if n in self.files)
            self._lines[name] = tuple(line for path in found for line in _read_lines(path))
        return self._lines[name]

    @property
    def files(self) -> dict[str, Path]:
        """By lower-case name without folder and suffix. Names are listed, never joined to a path: no way out."""
        if self._files is None:
            self._files = {}
            for folder in self._folders:
                for path in sorted(folder.rglob("*.txt")):
                    name = path.relative_to(folder).with_suffix("").as_posix().lower()
                    self._files.setdefault(name, path)
        return self._files


def _read_lines(path: Path) -> list[str]:
    try:
        text = path.read_bytes().decode("utf-8-sig", errors="replace")
    except OSError as error:
        log.warning("wildcard file cannot be read: %s", fields(path=str(path), reason=str(error)))
        return []
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


class _Expansion:
    """One text being resolved, with a stack of its own: nesting is as deep as the user likes."""

    def __init__(self, random_: random.Random, shelf: _Shelf) -> None:
        self._random = random_
        self._shelf = shelf
        self._left = REPLACEMENTS

    def run(self, text: str) -> str:
        parts: list[str] = []
        pending: list[Item] = list(reversed(_parse(text)))
        while pending:
            item = pending.pop()
            if isinstance(item, Options):
                pending += reversed(self._choose(item))
                continue
            match = _WILDCARD.search(item)
            line = None
            while match is not None:
                line = self._line(match.group(1))
                if line is not None:
                    break
                match = _WILDCARD.search(item, match.end())
            if match is None or line is None:
                parts.append(item)
            else:
                parts.append(item[: match.start()])
                pending.append(item[match.end() :])
                pending += reversed(_parse(line))
        return "".join(parts)

    def _line(self, name: str) -> str | None:
        lines = self._shelf.lines(name) if self._left > 0 else ()
        if not lines:
            return None
        self._left -= 1
        return lines[self._below(len(lines))]

    def _choose(self, item: Options) -> list[Item]:
        count = item.low + self._below(item.high - item.low + 1)
        left = list(item.options)
        chosen: list[Item] = []
        for index in range(min(count, len(left))):
            _, option = left.pop(self._weighted([weight for weight, _ in left]))
            if index:
                chosen.append(item.separator)
            chosen += option
        return chosen

    def _weighted(self, weights: list[float]) -> int:
        point = self._random.random() * sum(weights)
        for index, weight in enumerate(weights):
            point -= weight
            if point < 0:
                return index
        return len(weights) - 1

    def _below(self, count: int) -> int:
        # Only random() is promised to stay the same in every Python.
        return min(int(self._random.random() * count), count - 1)


@dataclass
class _Frame:
    start: int
    #: position in the items, and how deep in round and square brackets: [a|b] inside braces keeps its own bars
    pipes: list[tuple[int, int]] = field(default_factory=list)
    depth: int = 0


def _parse(text: str) -> list[Item]:
    items: list[Item] = []
    stack: list[_Frame] = []
    for match in _TOKEN.finditer(text):
        token = match.group(0)
        if token == "{":
            stack.append(_Frame(len(items)))
        elif stack and token in "[(":
            stack[-1].depth += 1
        elif stack and token in "])":
            stack[-1].depth -= 1
        elif stack and token == "|":
            stack[-1].pipes.append((len(items), stack[-1].depth))
        elif stack and token == "}":
            frame = stack.pop()
            options = _options(frame, items)
            if options is not None:
                items[frame.start :] = [options]
                continue
        items.append(token)
    return _joined(items)


def _joined(items: list[Item]) -> list[Item]:
    """Neighbouring texts as one: the name of a wildcard may hold a bracket's characters around it."""
    joined: list[Item] = []
    texts: list[str] = []
    for item in items:
        if isinstance(item, str):
            texts.append(item)
            continue
        if texts:
            joined.append("".join(texts))
            texts = []
        joined.append(item)
    if texts:
        joined.append("".join(texts))
    return joined


def _options(frame: _Frame, items: list[Item]) -> Options | None:
    """What a closed brace means, or None when it is no choice."""
    begin, end = frame.start + 1, len(items)
    bars = [position for position, depth in frame.pipes if depth == 0 or frame.depth != 0]
    first = items[begin] if begin < end else ""
    count = _COUNT.match(first) if isinstance(first, str) else None
    if not bars and count is None:
        return None
    starts = (begin, *(bar + 1 for bar in bars))
    pieces = [_joined(items[a:b]) for a, b in zip(starts, (*bars, end))]
    low = high = 1
    separator = ", "
    if count is not None:
        low, high = int(count.group(1)), int(count.group(2) or count.group(1))
        separator = count.group(3) if count.group(3) is not None else separator
        pieces[0][0] = pieces[0][0][count.end() :]
    return Options(min(low, high), max(low, high), separator, tuple(_weighed(piece) for piece in pieces))


def _weighed(piece: list[Item]) -> tuple[float, tuple[Item, ...]]:
    head = piece[0] if piece else None
    weight = _WEIGHT.match(head) if isinstance(head, str) else None
    if weight is None:
        return 1.0, tuple(piece)
    return float(weight.group(1)), (head[weight.end() :], *piece[1:])
