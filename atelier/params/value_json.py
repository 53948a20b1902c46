"""One declared value as JSON: read, written, described; pictures by the hash of their bytes."""

from __future__ import annotations

import dataclasses
import difflib
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from atelier.base.errors import BadRequest
from atelier.base.refs import ImageRef
from atelier.params.field import Declaration

#: (name of the field, text of a picture) -> the stored picture; raises `BadImage`
StoreImage = Callable[[str, str], ImageRef]

_SHA256 = re.compile(r"[0-9a-f]{64}")
_TYPES: Mapping[str, str] = MappingProxyType({
    "bool": "boolean", "int": "integer", "float": "number", "str": "string", "list": "array", "dict": "object",
})  # fmt: skip


def image_schema() -> dict[str, Any]:
    """A picture in a request: text, or the name of a stored one."""
    stored = {
        "type": "object",
        "properties": {
            "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
            "width": {"type": "integer", "minimum": 0},
            "height": {"type": "integer", "minimum": 0},
            "media": {"type": "string"},
        },
        "required": ["sha256"],
    }
    text = {"type": "string", "description": "Base64, or a data URL."}
    return {"anyOf": [text, stored]}


def plain(value: Any) -> Any:
    """A value as JSON knows it."""
    if isinstance(value, ImageRef):
        return dataclasses.asdict(value)
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    return value


def object_from(value: Any, field: str) -> Mapping[str, Any]:
    """Raises `BadRequest` when it is none."""
    if not isinstance(value, Mapping):
        raise BadRequest(field, f"expected an object, got {type(value).__name__}.")
    return value


def unknown_name(field: str, name: str, known: Iterable[str]) -> BadRequest:
    names = tuple(known)
    close = difflib.get_close_matches(str(name), names, n=3)
    return BadRequest(field, "there is no such value.", remedy=f"Use one of: {', '.join(close or names)}.")


def value_from(value: Any, declaration: Declaration, store: StoreImage | None) -> Any:
    """One value of nested JSON, checked; pictures become references. Raises `BadRequest`."""
    item = item_type(declaration)
    if item is ImageRef and declaration.kind == "list":
        if not isinstance(value, (list, tuple)):
            raise BadRequest(declaration.path, "expected a list of pictures.")
        return tuple(image_from(entry, f"{declaration.path}.{i}", store) for i, entry in enumerate(value))
    if item is ImageRef and value is not None:
        return image_from(value, declaration.path, store)
    return declaration.check(value)


def item_type(declaration: Declaration) -> Any:
    """The type of a value, or of the items of a list, without None."""
    members = typing.get_args(declaration.type)
    if declaration.kind == "list":
        return members[0] if members else str
    return next((member for member in members if member is not type(None)), declaration.type)


def image_from(value: Any, field: str, store: StoreImage | None = None) -> ImageRef:
    """A picture given by hash or, where there is a `store`, as text. Raises `BadRequest`."""
    if isinstance(value, ImageRef):
        return value
    if isinstance(value, str) and store is not None:
        return store(field, value)
    if not isinstance(value, Mapping):
        raise BadRequest(field, "expected a picture.", remedy='Give base64 text, or {"sha256": ...}.')
    names = {f.name for f in dataclasses.fields(ImageRef)}
    for key in value:
        if key not in names:
            raise unknown_name(f"{field}.{key}", key, names)
    if not isinstance(value.get("sha256"), str) or not _SHA256.fullmatch(value["sha256"]):
        raise BadRequest(f"{field}.sha256", "expected 64 hexadecimal digits.", remedy="Upload the picture first.")
    for side in ("width", "height"):
        number = value.get(side, 0)
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            raise BadRequest(f"{field}.{side}", "expected a whole number of pixels.")
    if not isinstance(value.get("media", ""), str):
        raise BadRequest(f"{field}.media", "expected a media type.")
    return ImageRef(**value)


def value_schema(declaration: Declaration, default: Any = ...) -> dict[str, Any]:
    """The JSON schema of one declared value. Lists that only a running engine knows are named in `x-choices`."""
    told = declaration.param
    item = item_type(declaration)
    schema: dict[str, Any] = {"title": told.label, "description": told.help}
    if declaration.kind == "list":
        schema |= {"type": "array", "items": image_schema() if item is ImageRef else {"type": "string"}}
    elif item is ImageRef:
        schema |= {"anyOf": [*image_schema()["anyOf"], {"type": "null"}]}
    else:
        kind = _TYPES.get(declaration.kind, "string")
        schema["type"] = [kind, "null"] if declaration.optional else kind
    low, high = told.limits
    schema |= {name: limit for name, limit in (("minimum", low), ("maximum", high)) if limit is not None}
    if isinstance(told.choices, tuple):
        schema["enum"] = [*told.choices, *([None] if declaration.optional else [])]
    elif told.choices:
        schema["x-choices"] = told.choices
    if told.max_length is not None:
        schema["maxLength"] = told.max_length
    schema["default"] = plain(declaration.default if default is ... else default)
    return schema
