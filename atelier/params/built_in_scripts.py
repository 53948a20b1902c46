"""BuiltInScript: an always-on script of A1111 whose arguments are declared values here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from atelier.base.errors import BadRequest
from atelier.params.capabilities import ScriptInfo
from atelier.params.field import declarations_of
from atelier.params.parts import SoftInpainting
from atelier.params.request import GenerationRequest, find_declaration

#: by title in small letters: the dotted names of the arguments, in their order; all are of img2img
BUILT_IN: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "soft inpainting": tuple(d.path for d in declarations_of(SoftInpainting)),
})  # fmt: skip


def built_in_infos() -> tuple[ScriptInfo, ...]:
    """As `/sdapi/v1/script-info` tells of them."""
    found = []
    for title, paths in BUILT_IN.items():
        told = [find_declaration(path) for path in paths]
        args = tuple(
            {"label": d.param.label, "value": d.default, "minimum": d.param.minimum, "maximum": d.param.maximum,
             "step": d.param.step, "choices": None}
            for d in told
        )  # fmt: skip
        found.append(ScriptInfo(title, is_alwayson=True, is_img2img=True, args=args))
    return tuple(found)


def values_of_scripts(always: Mapping[str, Any] | None, kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Values of the request by dotted name, and the scripts that are left for extensions. Raises `BadRequest`."""
    values: dict[str, Any] = {}
    left: dict[str, Any] = {}
    for title, given in (always or {}).items():
        paths = BUILT_IN.get(str(title).lower())
        if paths is None or kind != "img2img":
            left[title] = given
            continue
        args = given.get("args", []) if isinstance(given, Mapping) else None
        if not isinstance(args, (list, tuple)):
            raise BadRequest(f"alwayson_scripts.{title}", 'expected {"args": [...]}.', remedy="args holds the values.")
        for path, value in zip(paths, args):
            if value is not None:
                values[path] = find_declaration(path).check(value)
    return values, left


def scripts_of(request: GenerationRequest) -> dict[str, Any]:
    """The inverse of `values_of_scripts`, for what is in use."""
    if request.kind != "img2img" or not request.soft.enabled:
        return {}
    return {title: {"args": [request.get(path) for path in paths]} for title, paths in BUILT_IN.items()}
