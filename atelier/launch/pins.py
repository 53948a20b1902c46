"""Pinned requirements: what the files ask for on this Python, and what a site-packages folder holds."""

from __future__ import annotations

import operator
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

COMPARE = MappingProxyType({
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
})  # fmt: skip
LINE = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;]+)\s*(?:;\s*(.+))?$")
MARKER = re.compile(r"""^(python_version|sys_platform)\s*(<=|>=|==|!=|<|>)\s*["']([^"']+)["']$""")


@dataclass(frozen=True)
class Pin:
    name: str
    version: str


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins_of(files: Iterable[Path], python: tuple[int, int]) -> tuple[Pin, ...]:
    """The pins that hold for a Python version. Raises `ValueError` naming a line that it does not understand."""
    found = []
    for file in files:
        for number, raw in enumerate(file.read_text("utf-8").splitlines(), 1):
            line = raw.split("#")[0].strip()
            if not line or line.startswith("-"):
                continue
            match = LINE.match(line)
            if not match:
                raise ValueError(f"{file.name}:{number}: {line!r} is not of the form name==version")
            if match[3] is None or marker_holds(match[3], python):
                found.append(Pin(canonical(match[1]), match[2]))
    return tuple(found)


def marker_holds(marker: str, python: tuple[int, int]) -> bool:
    """Whether an environment marker holds; only the forms that our files use are understood."""
    for part in marker.split(" and "):
        match = MARKER.match(part.strip())
        if not match:
            raise ValueError(f"the marker {part!r} is not understood")
        name, compare, value = match.groups()
        if name == "python_version":
            wanted = tuple(int(piece) for piece in value.split("."))
            holds = COMPARE[compare](python, wanted)
        else:
            holds = COMPARE[compare](sys.platform, value)
        if not holds:
            return False
    return True


def installed_in(folders: Iterable[Path]) -> dict[str, str]:
    """Name -> version of the packages in site-packages folders, from the names of their metadata folders."""
    found: dict[str, str] = {}
    for folder in folders:
        if not folder.is_dir():
            continue
        for path in folder.iterdir():
            if path.name.endswith(".dist-info") and "-" in path.stem:
                name, version = path.stem.rsplit("-", 1)
                found.setdefault(canonical(name), version)
    return found


def unmet(pins: Iterable[Pin], installed: dict[str, str]) -> tuple[Pin, ...]:
    """Pins that are not installed; a build tag (2.13.0+cpu) does not count against a version."""
    return tuple(pin for pin in pins if installed.get(pin.name, "").split("+")[0] != pin.version.split("+")[0])
