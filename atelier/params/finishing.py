"""Finishing: steps of the Extras tab that are done to every picture of txt2img and img2img."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from atelier.base.errors import BadRequest
from atelier.params.extras import EXTRAS_DECLARATIONS, EXTRAS_PARTS, ExtrasRequest
from atelier.params.field import Declaration
from atelier.params.part_json import changes_from_json
from atelier.params.request import GenerationRequest

#: the name in `request.extras`
EXTRA = "postprocessing"
#: name of a step -> part with its values; only those that make one picture of one, and need no size to cut to
STEPS: Mapping[str, str] = MappingProxyType({
    "Upscale": "upscale", "GFPGAN": "gfpgan", "CodeFormer": "codeformer", "Remove background": "background",
    "Auto-sized crop": "autocrop",
})  # fmt: skip


def find_step_value(path: str) -> Declaration | None:
    """The declaration of a step's value by its dotted name, `upscale.scale`."""
    part = path.partition(".")[0]
    return next((d for d in EXTRAS_DECLARATIONS if d.path == path and part in STEPS.values()), None)


def gather_steps(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Values of controls by dotted name: those of the request, and those of steps as `request.extras` holds them."""
    own: dict[str, Any] = {}
    steps: dict[str, dict[str, Any]] = {}
    for path, value in values.items():
        part, _, name = path.partition(".")
        if part in STEPS.values():
            steps.setdefault(part, {})[name] = value
        else:
            own[path] = value
    wanted = {part: told for part, told in steps.items() if told.get("enabled")}
    return own, {EXTRA: wanted} if wanted else {}


def asked_steps(request: GenerationRequest) -> ExtrasRequest | None:
    """What is to be done to each picture; None for nothing. Raises `BadRequest` that names the value.

    The form is that of an `ExtrasRequest` as JSON, with the parts of `STEPS` alone; each part is to say `enabled`.
    """
    given = request.extras.get(EXTRA)
    if not given:
        return None
    parts = [cls for cls in EXTRAS_PARTS if cls.part_name in STEPS.values()]
    try:
        changes = changes_from_json(given, parts, None)
        asked = ExtrasRequest().with_values(**{"upscale.enabled": False, **changes})
    except BadRequest as error:
        raise BadRequest(f"extras.{EXTRA}.{error.field}", error.message, remedy=error.remedy) from error
    return asked if any(asked.get(f"{part}.enabled") for part in STEPS.values()) else None
