"""Declared parts as JSON: read, written, described; one alone, or those of a request by their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from atelier.params.field import declarations_of
from atelier.params.value_json import StoreImage, object_from, plain, unknown_name, value_from, value_schema

T = TypeVar("T")
#: what a request holds beside its parts: name -> what it is
OPEN = (("overrides", "Settings for this request only."), ("extras", "Values of extensions, by their name."))


def part_from_json(cls: type[T], data: Any) -> T:
    """What is left out is at its default. Raises `BadRequest` that names the value, also for unknown names."""
    declared = {d.name for d in declarations_of(cls)}
    given = object_from(data, "request")
    for name in given:
        if name not in declared:
            raise unknown_name(str(name), str(name), sorted(declared))
    return cls(**{str(name): value for name, value in given.items()})


def part_to_json(part: Any) -> dict[str, Any]:
    return {d.name: _plain(getattr(part, d.name)) for d in declarations_of(type(part))}


def part_schema(cls: Any) -> dict[str, Any]:
    """The JSON schema of the object."""
    return {
        "type": "object", "title": cls.part_title, "additionalProperties": False,
        "properties": {d.name: value_schema(d) for d in declarations_of(cls)},
    }  # fmt: skip


def parts_to_json(request: Any, classes: Sequence[Any]) -> dict[str, Any]:
    """Every value of a request by part and name, then `overrides` and `extras`."""
    data: dict[str, Any] = {
        cls.part_name: {d.name: plain(request.get(d.path)) for d in declarations_of(cls)} for cls in classes
    }
    return {**data, **{name: dict(getattr(request, name)) for name, _ in OPEN}}


def changes_from_json(data: Any, classes: Sequence[Any], store: StoreImage | None) -> dict[str, Any]:
    """Dotted name -> checked value of all that nested JSON says. `store` takes pictures given as text.

    Raises `BadRequest` that names the value, also for unknown names.
    """
    parts = {cls.part_name: cls for cls in classes}
    beside = [name for name, _ in OPEN]
    changes: dict[str, Any] = {}
    for name, given in object_from(data, "request").items():
        if name in beside:
            changes[name] = object_from(given, name)
            continue
        if name not in parts:
            raise unknown_name(name, name, (*parts, *beside))
        declared = {d.name: d for d in declarations_of(parts[name])}
        for key, value in object_from(given, name).items():
            if key not in declared:
                raise unknown_name(f"{name}.{key}", key, declared)
            changes[f"{name}.{key}"] = value_from(value, declared[key], store)
    return changes


def parts_schema(title: str, classes: Sequence[Any]) -> dict[str, Any]:
    """The JSON schema of a request's nested form."""
    properties: dict[str, Any] = {
        cls.part_name: {
            "type": "object", "title": cls.__name__, "description": _described(cls), "additionalProperties": False,
            "properties": {d.name: value_schema(d) for d in declarations_of(cls)},
        }
        for cls in classes
    }  # fmt: skip
    properties |= {name: {"type": "object", "default": {}, "description": text} for name, text in OPEN}
    return {"type": "object", "title": title, "properties": properties, "additionalProperties": False}


def _described(cls: Any) -> str:
    text = (cls.__doc__ or "").strip()
    # A dataclass without a docstring is given its signature.
    return "" if text.startswith(f"{cls.__name__}(") else text


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else plain(value)
