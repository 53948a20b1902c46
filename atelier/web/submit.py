"""What Generate does: the controls of a tab become a request, which is queued; the page then follows it by itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from gradio.context import LocalContext

from atelier.app import App
from atelier.base.errors import AtelierError, BadRequest
from atelier.base.log import fields, logger
from atelier.imaging.sketch import join_sketch
from atelier.params.finishing import gather_steps
from atelier.params.infotext import parse_infotext, paste
from atelier.params.request import GenerationRequest
from atelier.params.value_json import image_from, plain
from atelier.web.panel import Panel
from atelier.web.picture_batch import batch_values

log = logger(__name__)

_CLIENT_LIMIT = 200


def submitter(app: App, panel: Panel) -> Callable[..., str]:
    """The function behind Generate: (wire, values of the form, overrides, values of scripts...) -> ticket as JSON."""

    def submit(wire: str, *shown: Any) -> str:
        try:
            told = read_wire(wire)
            if told.get("cancelled"):
                # The page could not gather its pictures, and has said so by itself.
                return ""
            request = request_of(app, panel, told, shown)
            client = client_name(told)
            ticket = app.submit(request, client=client, job_id=str(told.get("id") or ""), user=_user())
        except AtelierError as error:
            return json.dumps({"error": error.to_json()}, default=str)
        keep_controls(app, panel, told, shown)
        return json.dumps({"id": ticket.id, "position": ticket.position})

    return submit


def _user() -> str:
    """Who signed in, or empty. Told by the context: a parameter of its own would move those of the controls."""
    request = LocalContext.request.get(None)
    return (getattr(request, "username", None) or "") if request is not None else ""


def keeper(app: App, panel: Panel) -> Callable[..., None]:
    """The function that keeps what the controls hold, a moment after they were changed."""

    def keep(wire: str, *shown: Any) -> None:
        keep_controls(app, panel, read_wire(wire), shown)

    return keep


def read_wire(wire: str) -> Mapping[str, Any]:
    """What scripts of the page tell beside the controls: id, client, pictures by hash, scale."""
    try:
        told = json.loads(wire or "{}")
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise BadRequest("page", "its scripts did not run.", remedy="Reload the page.")
    return told


def client_name(told: Mapping[str, Any]) -> str:
    return str(told.get("client") or "")[:_CLIENT_LIMIT]


def request_of(app: App, panel: Panel, told: Mapping[str, Any], shown: tuple[Any, ...]) -> GenerationRequest:
    """Raises `BadRequest` that names the value."""
    count = len(panel.form.controls)
    values, extras = gather_steps(panel.form.values(shown[:count]))
    values["overrides"] = read_overrides(app, shown[count] or [])
    if panel.area is not None:
        extras |= panel.area.pack(list(shown[count + 1 :]))
    values["extras"] = extras
    if panel.tab == "img2img":
        values |= _sources(app, told, values)
    elif told.get("upscale"):
        values |= _finished(told["upscale"])
    return GenerationRequest().with_values(**values)


def _finished(told: Any) -> dict[str, Any]:
    """Hires fix on a finished picture: it takes the place of the first pass, and brings its own seeds.

    `told` is {"image": the picture, "infotext": its parameters}. Everything else is as on the controls.
    """
    if not isinstance(told, Mapping):
        raise BadRequest("hires.image", "there is no picture.", remedy="Choose one in the gallery.")
    found: dict[str, Any] = {"hires.image": image_from(told.get("image"), "hires.image"), "hires.enabled": True}
    known = paste(parse_infotext(str(told.get("infotext") or "")), GenerationRequest()).request.seed
    for name in ("seed", "subseed", "subseed_strength", "resize_from_w", "resize_from_h"):
        found[f"seed.{name}"] = getattr(known, name)
    return found


def _sources(app: App, told: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    if "batch" in told:
        batch = batch_values(app, told)
        return {**batch, "extras": {**values.get("extras", {}), **batch["extras"]}}
    found = _pictures(told, values)
    if told.get("original") and "mask.image" in found:
        found |= _sketched(app, told, {**values, **found})
    return found


def _pictures(told: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    image, mask = told.get("image"), told.get("mask")
    if not image:
        raise BadRequest("source.images", "img2img needs a picture.", remedy="Drop one onto the canvas.")
    ref = image_from(image, "source.images")
    found: dict[str, Any] = {"source.images": (ref,)}
    if mask:
        found["mask.image"] = image_from(mask, "mask.image")
    if told.get("depth"):
        found["source.depth"] = image_from(told["depth"], "source.depth")
    scale = told.get("scale")
    if isinstance(scale, (int, float)) and scale > 0 and ref.width and ref.height:
        found["size.width"], found["size.height"] = (
            max(8, int(side * scale) // 8 * 8) for side in (ref.width, ref.height)
        )
    return found


def _sketched(app: App, told: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Inpaint sketch: the painted picture and its mask, melted as the controls say."""
    transparency = told.get("transparency", 0)
    if type(transparency) not in (int, float) or not 0 <= transparency <= 100:
        raise BadRequest("mask transparency", f"{transparency!r} is no number from 0 to 100.")
    original = app.blobs.image(image_from(told["original"], "source.images"), "source.images")
    painted = app.blobs.image(values["source.images"][0], "source.images")
    strokes = app.blobs.image(values["mask.image"], "mask.image")
    if not original.size == painted.size == strokes.size:
        raise BadRequest("mask.image", "sketch, picture and mask have different sizes.", remedy="Paint it again.")
    picture, mask = join_sketch(
        original, painted, strokes, transparency=transparency, blur=values.get("mask.blur_x", 0)
    )  # fmt: skip
    return {"source.images": (app.blobs.put_image(picture),), "mask.image": app.blobs.put_image(mask)}


def read_overrides(app: App, texts: list[str]) -> dict[str, Any]:
    """Settings by key for texts such as "Clip skip: 2". Raises `BadRequest` for one that is not known."""
    labels = {d.param.infotext or d.name: d for d in app.settings.declarations.values()}
    found: dict[str, Any] = {}
    for text in texts:
        label, _, value = (part.strip() for part in str(text).partition(":"))
        declaration = labels.get(label) or app.settings.declarations.get(label)
        if label == "Model hash" or label == "Model":
            declaration = app.settings.declarations.get("sd_model_checkpoint")
        if declaration is None:
            raise BadRequest("overrides", f"there is no setting {label!r}.", remedy="Remove it from Override settings.")
        found[declaration.name] = declaration.check(value)
    return found


def write_overrides(app: App, overrides: Mapping[str, Any]) -> list[str]:
    """The inverse of `read_overrides`."""
    declared = app.settings.declarations
    return [f"{declared[key].param.infotext or key}: {value}" for key, value in overrides.items() if key in declared]


def keep_controls(app: App, panel: Panel, told: Mapping[str, Any], shown: tuple[Any, ...]) -> None:
    """The paths that the page names in `unchosen` are left out: they are to follow the model when it is known."""
    client, unchosen = client_name(told), told.get("unchosen") or ()
    if not client:
        return
    try:
        values = panel.form.values(shown[: len(panel.form.controls)])
        values = {path: value for path, value in values.items() if path not in unchosen}
        app.sessions.update(client, panel.tab, {path: plain(value) for path, value in values.items()})
    except BadRequest:
        # A half-typed value: the next change will be kept.
        return
    except AtelierError as error:
        log.warning("controls could not be kept: %s", fields(tab=panel.tab, reason=str(error)))
