"""One declared part as a flat JSON object: read, written, described. For requests that are no pictures."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

from atelier.base.errors import BadRequest
from atelier.params.field import declarations_of
from atelier.params.schema import plain, value_schema

T = TypeVar("T")


def part_from_json(cls: type[T], data: Any) -> T:
    """What is left out is at its default. Raises `BadRequest` that names the value, also for unknown names."""
    if not isinstance(data, Mapping):
        raise BadRequest("request", f"expected an object, got {type(data).__name__}.")
    declared = {d.name for d in declarations_of(cls)}
    for name in data:
        if name not in declared:
            close = difflib.get_close_matches(str(name), declared, n=3)
            known = ", ".join(close or sorted(declared))
            raise BadRequest(str(name), "there is no such value.", remedy=f"Use one of: {known}.")
    return cls(**{str(name): value for name, value in data.items()})


def part_to_json(part: Any) -> dict[str, Any]:
    return {d.name: _plain(getattr(part, d.name)) for d in declarations_of(type(part))}


def part_schema(cls: Any) -> dict[str, Any]:
    """The JSON schema of the object."""
    return {
        "type": "object", "title": cls.part_title, "additionalProperties": False,
        "properties": {d.name: value_schema(d) for d in declarations_of(cls)},
    }  # fmt: skip


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else plain(value)
