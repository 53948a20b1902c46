"""What Generate of the Extras tab does: its controls become an `ExtrasRequest`, which is queued."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from atelier.app import App
from atelier.base.errors import AtelierError, BadRequest
from atelier.params.extras import SCALE_BY, SCALE_TO, ExtrasRequest
from atelier.params.value_json import image_from
from atelier.web.api.extras import with_checked_folders
from atelier.web.panel import Panel
from atelier.web.submit import client_name, keep_controls, read_wire

MODES = ("single", "batch", "folder")


def extras_submitter(app: App, panel: Panel) -> Callable[..., str]:
    """(wire, values of the form, values of scripts...) -> ticket as JSON."""

    def submit(wire: str, *shown: Any) -> str:
        try:
            told = read_wire(wire)
            if told.get("cancelled"):
                return ""
            request = extras_of(app, panel, told, shown)
            ticket = app.submit_extras(request, client=client_name(told), job_id=str(told.get("id") or ""))
        except AtelierError as error:
            return json.dumps({"error": error.to_json()}, default=str)
        keep_controls(app, panel, told, shown)
        return json.dumps({"id": ticket.id, "position": ticket.position})

    return submit


def extras_of(app: App, panel: Panel, told: Mapping[str, Any], shown: tuple[Any, ...]) -> ExtrasRequest:
    """Raises `BadRequest` that names the value. The wire tells mode, pictures and the open tab of sizes."""
    count = len(panel.form.controls)
    values = panel.form.values(shown[:count])
    if panel.area is not None:
        values["extras"] = dict(panel.area.pack(list(shown[count:])))
    values["upscale.mode"] = SCALE_TO if told.get("scale_to") else SCALE_BY
    mode = told.get("mode", MODES[0])
    if mode != "folder":
        values |= {"input.folder": "", "output.folder": "", **_pictures(told)}
    elif not values.get("input.folder"):
        raise BadRequest("input.folder", "no folder is named.", remedy="Name the folder with the pictures.")
    return with_checked_folders(app, ExtrasRequest().with_values(**values))


def _pictures(told: Mapping[str, Any]) -> dict[str, Any]:
    given = told.get("images")
    if not isinstance(given, list) or not given:
        raise BadRequest("input.images", "there is no picture.", remedy="Drop one onto the page.")
    found: dict[str, Any] = {"input.images": [], "input.names": []}
    for index, item in enumerate(given):
        entry = dict(item) if isinstance(item, Mapping) else {}
        found["input.names"].append(str(entry.pop("name", "")))
        found["input.images"].append(image_from(entry, f"input.images.{index}"))
    return {path: tuple(items) for path, items in found.items()}
