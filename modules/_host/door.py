"""Doors whose names are fetched when they are first asked for, so that importing a door costs nothing."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from modules._host.attach import host


def lazy(module: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """A `__getattr__` for a door (PEP 562).

    `names` maps a name to where it really is: `package.file:attribute`, or `@path` for an attribute path below the
    attached host. Nothing is stored in the door, so what an extension assigns there is seen as an assignment.
    """

    def __getattr__(name: str) -> Any:
        target = names.get(name)
        if target is None:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        if target.startswith("@"):
            return follow(host(), target[1:])
        place, _, attribute = target.partition(":")
        found = importlib.import_module(place)
        return follow(found, attribute) if attribute else found

    return __getattr__


def follow(start: Any, path: str) -> Any:
    for part in path.split("."):
        start = getattr(start, part)
    return start


def assigned(module: str, name: str) -> Any:
    """What an extension has put in the place of a door's name, or None. The door must be lazy in that name."""
    return vars(importlib.import_module(module)).get(name)
