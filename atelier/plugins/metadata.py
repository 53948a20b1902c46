"""metadata.ini: what an extension says about its name, its needs and the order of its files."""

from __future__ import annotations

import configparser
import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from atelier.base.log import fields, logger

log = logger(__name__)

T = TypeVar("T")
_SEPARATOR = re.compile(r"[,\s]+")


@dataclass(frozen=True)
class Metadata:
    """`sections` maps a section's name to its options, both in lower case."""

    name: str
    sections: dict[str, dict[str, str]] = field(default_factory=dict)
    problem: str = ""

    def names(self, section: str, option: str) -> tuple[str, ...]:
        """A list of names; separators are commas and white space, alternatives are joined by `|`."""
        text = self.sections.get(section.lower(), {}).get(option.lower(), "")
        return tuple(word.lower() for word in _SEPARATOR.split(text) if word)

    def order(self, kind: str, file: str) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        """(requires, before, after) of one file: what all files of the kind say and what this one says."""
        return tuple(  # type: ignore[return-value]
            (*self.names(kind, option), *self.names(f"{kind}/{file}", option))
            for option in ("requires", "before", "after")
        )

    @property
    def requires(self) -> tuple[str, ...]:
        return self.names("extension", "requires")


def read_metadata(folder: Path) -> Metadata:
    """Never raises: a file that cannot be read is named in `problem`."""
    path = folder / "metadata.ini"
    name = folder.name.lower()
    if not path.is_file():
        return Metadata(name)
    parser = configparser.ConfigParser()
    try:
        parser.read_string(path.read_text("utf-8-sig"))
    except (OSError, ValueError, configparser.Error) as error:
        log.warning("metadata.ini cannot be read: %s", fields(path=str(path), reason=str(error)))
        return Metadata(name, problem=f"metadata.ini: {error}")
    sections = {s.lower(): {k.lower(): v for k, v in parser.items(s)} for s in parser.sections()}
    given = sections.get("extension", {}).get("name", "").strip().lower()
    return Metadata(given or name, sections)


def sort_after(items: Sequence[T], key: Callable[[T], Hashable], after: Callable[[T], Sequence[Hashable]]) -> list[T]:
    """The items in their order, moved only where one must come after another. Circles are broken where they begin."""
    known = {key(item): item for item in items}
    done: dict[Hashable, T] = {}
    open_: set[Hashable] = set()

    def place(name: Hashable) -> None:
        if name in done:
            return
        if name in open_:
            log.warning("extensions ask for a circular order, ignored: %s", fields(name=str(name)))
            return
        open_.add(name)
        for other in after(known[name]):
            if other in known and other != name:
                place(other)
        open_.discard(name)
        done[name] = known[name]

    for item in items:
        place(key(item))
    return list(done.values())
