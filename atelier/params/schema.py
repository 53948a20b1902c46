"""The request as JSON: the nested form of /atelier/v1 and its JSON schema."""

from __future__ import annotations

from typing import Any

from atelier.params.part_json import changes_from_json, parts_schema, parts_to_json
from atelier.params.parts import PARTS
from atelier.params.request import GenerationRequest
from atelier.params.value_json import StoreImage


def request_to_json(request: GenerationRequest) -> dict[str, Any]:
    """Every value by part and name, then `overrides` and `extras`; pictures by the hash of their bytes."""
    return parts_to_json(request, PARTS)


def request_from_json(
    data: Any, *, base: GenerationRequest | None = None, store: StoreImage | None = None
) -> GenerationRequest:
    """The request that nested JSON describes; what it leaves out is as in `base`, or at its default.

    `store` takes pictures given as text. Raises `BadRequest` that names the value, also for unknown names.
    """
    return (base or GenerationRequest()).with_values(**changes_from_json(data, PARTS, store))


def json_schema() -> dict[str, Any]:
    """The JSON schema of the nested form, made from the declarations."""
    return parts_schema("GenerationRequest", PARTS)
