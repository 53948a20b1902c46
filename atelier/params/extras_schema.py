"""The request of the Extras tab as JSON: nested for jobs, flat as /sdapi/v1/extra-single-image takes it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from atelier.base.errors import BadRequest
from atelier.params.extras import EXTRAS_DECLARATIONS, EXTRAS_PARTS, ExtrasRequest, find_extras_declaration
from atelier.params.field import UNSET, Declaration
from atelier.params.part_json import changes_from_json, parts_schema, parts_to_json
from atelier.params.value_json import StoreImage, image_from, object_from, value_schema

SINGLE, BATCH = "single", "batch"
#: fields of A1111's schema that are no values of the request
_OTHERS: Mapping[str, Mapping[str, Mapping[str, Any]]] = MappingProxyType({
    SINGLE: {"image": {"type": "string", "description": "The picture as base64."}},
    BATCH: {
        "imageList": {
            "type": "array",
            "description": "The pictures.",
            "items": {
                "type": "object",
                "required": ["data"],
                "properties": {
                    "data": {"type": "string", "description": "The picture as base64."},
                    "name": {"type": "string", "description": "Its file name."},
                },
            },
        }
    },
})  # fmt: skip


def extras_to_json(request: ExtrasRequest) -> dict[str, Any]:
    """Every value by part and name, then `overrides` and `extras`."""
    return parts_to_json(request, EXTRAS_PARTS)


def extras_from_json(data: Any, *, store: StoreImage | None = None) -> ExtrasRequest:
    """The request that nested JSON describes. `store` takes pictures given as text. Raises `BadRequest`."""
    return ExtrasRequest().with_values(**changes_from_json(data, EXTRAS_PARTS, store))


def extras_schema() -> dict[str, Any]:
    """The JSON schema of the nested form."""
    return parts_schema("ExtrasRequest", EXTRAS_PARTS)


def flat_extras_schema(form: str) -> dict[str, Any]:
    """The JSON schema of a route's body; `form` is single or batch."""
    properties = dict(_OTHERS[form])
    properties |= {d.param.api: value_schema(d, _default(d)) for d in EXTRAS_DECLARATIONS if d.param.api}
    properties["upscale_first"] = {"type": "boolean", "default": False, "description": "Not used."}
    required = ["imageList"] if form == BATCH else ["image"]
    return {"type": "object", "properties": properties, "required": required}


def extras_from_flat(data: Mapping[str, Any], form: str, *, store: StoreImage) -> ExtrasRequest:
    """The request that A1111's flat body describes; null is absent, unknown fields are ignored. Nothing is saved.

    Raises `BadRequest` that names the flat field.
    """
    values: dict[str, Any] = {"output.save": False}
    for declaration in EXTRAS_DECLARATIONS:
        name = declaration.param.api
        if not name:
            continue
        given = data.get(name)
        try:
            values[declaration.path] = _default(declaration) if given is None else declaration.check(given)
        except BadRequest as error:
            raise in_flat_extras_words(error) from error
    # A1111's schema has no switch for a step: what is not visible is not done.
    values["gfpgan.enabled"] = values["gfpgan.visibility"] > 0
    values["codeformer.enabled"] = values["codeformer.visibility"] > 0
    values |= _pictures(data, form, store)
    return ExtrasRequest().with_values(**values)


def in_flat_extras_words(error: BadRequest) -> BadRequest:
    """An error that names a value of the request names the field of the body instead."""
    declaration = find_extras_declaration(error.field)
    name = declaration.param.api if declaration is not None else ""
    if error.field.startswith("input.images"):
        name = error.field.replace("input.images", "image")
    if not name or name == error.field:
        return error
    fields = {key: value for key, value in error.fields.items() if key != "field"}
    return type(error)(name, error.message.removeprefix(f"{error.field}: "), remedy=error.remedy, **fields)


def _default(declaration: Declaration) -> Any:
    told = declaration.param.api_default
    return declaration.default if told is UNSET else told


def _pictures(data: Mapping[str, Any], form: str, store: StoreImage) -> dict[str, Any]:
    if form == SINGLE:
        return {"input.images": (image_from(data.get("image") or "", "image", store),)}
    given = data.get("imageList")
    if not isinstance(given, (list, tuple)) or not given:
        raise BadRequest("imageList", "expected a list of pictures.", remedy='Write [{"data": ..., "name": ...}].')
    refs, names = [], []
    for index, item in enumerate(given):
        entry = object_from(item, f"imageList.{index}")
        refs.append(image_from(entry.get("data") or "", f"imageList.{index}.data", store))
        names.append(str(entry.get("name") or ""))
    return {"input.images": tuple(refs), "input.names": tuple(names)}
