"""POST /sdapi/v1/txt2img and img2img, as A1111 answers them; the call returns when the pictures are done."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from atelier.app import App
from atelier.base.errors import BadRequest, Conflict
from atelier.imaging.decode import open_image
from atelier.imaging.provenance import note_of
from atelier.imaging.writer import encode
from atelier.jobs.job import Ticket
from atelier.params.built_in_scripts import values_of_scripts
from atelier.params.capabilities import Capabilities
from atelier.params.flat import PICTURES, flat_echo, flat_schema, request_from_flat
from atelier.params.names import unknown
from atelier.params.request import GenerationRequest, find_declaration
from atelier.params.scripts import find_script
from atelier.params.settings import SettingsSnapshot
from atelier.store.jobs import JobRow
from atelier.web.api.common import FAILURES, OwnedApp, image_store, json_body, json_schema_body, lists, until_ended
from atelier.web.auth import client_of, user_of
from atelier.web.typed_code import TITLE, code_refusal

router = APIRouter(tags=["A1111: generation"], responses=dict(FAILURES))

#: settings that decide how a finished picture is sent
FORMAT_KEYS = ("samples_format", "jpeg_quality", "webp_lossless", "enable_pnginfo")


class GenerationAnswer(BaseModel):
    images: list[str] = Field(
        description="The pictures as base64, in the format of the setting samples_format; a grid first."
    )
    parameters: dict[str, Any] = Field(description="The request with every field, as given or at its default.")
    info: str = Field(description="JSON text: prompts, seeds, infotexts and more of each picture.")


@router.post(
    "/sdapi/v1/txt2img", response_model=GenerationAnswer, openapi_extra=json_schema_body(flat_schema("txt2img"))
)
async def txt2img(request: Request, app: OwnedApp) -> dict[str, Any]:
    """Makes pictures from text. Fields that are missing or null have A1111's defaults; unknown fields are ignored."""
    return await _generate(request, app, "txt2img")


@router.post(
    "/sdapi/v1/img2img", response_model=GenerationAnswer, openapi_extra=json_schema_body(flat_schema("img2img"))
)
async def img2img(request: Request, app: OwnedApp) -> dict[str, Any]:
    """Makes pictures from a picture; with `mask` only its white part is painted anew."""
    return await _generate(request, app, "img2img")


async def _generate(request: Request, app: App, kind: str) -> dict[str, Any]:
    data = await json_body(request)
    if data.get("script_name") or data.get("alwayson_scripts"):
        check_scripts(data, kind, await lists(app), app.arguments)
    try:
        asked = await run_in_threadpool(flat_request, app, data, kind)
        ticket = await run_in_threadpool(_submit, app, asked, data, client_of(request), user_of(request))
        row = await until_ended(app, ticket.id)
    except BadRequest as error:
        raise in_flat_words(error) from error
    return await run_in_threadpool(_answer, app, asked, data, row)


def flat_request(app: App, data: Mapping[str, Any], kind: str) -> GenerationRequest:
    return request_from_flat(data, kind, store=image_store(app), rules=app.paste_rules(kind))


def _submit(app: App, request: GenerationRequest, data: Mapping[str, Any], client: str, user: str) -> Ticket:
    job_id = str(data.get("force_task_id") or "")
    if len(job_id) > 200:
        raise BadRequest("force_task_id", "an id has at most 200 characters.", remedy="Use a shorter one.")
    return app.submit(request, client=client, job_id=job_id, user=user)


def check_scripts(data: Mapping[str, Any], kind: str, known: Capabilities, arguments: Mapping[str, Any]) -> None:
    """Raises `BadRequest` for a script that is not there, or that is named in the wrong place, and `NotAllowed` for the
    one that this server does not run."""
    here = [script for script in known.scripts if script.is_img2img == (kind == "img2img")]
    name = data.get("script_name")
    if name and find_script(str(name), kind) is not None:
        name = None
    selectable = {s.name.lower(): s.name for s in here if not s.is_alwayson}
    if str(name).lower() == TITLE.lower() and (refused := code_refusal(arguments)) is not None:
        raise refused
    if name and str(name).lower() not in selectable:
        raise unknown("script_name", "script", str(name), list(selectable.values()))
    always = data.get("alwayson_scripts")
    if not isinstance(always, (Mapping, type(None))):
        raise BadRequest("alwayson_scripts", "expected an object.", remedy='Write {"title": {"args": []}}.')
    names = {s.name.lower(): s.name for s in here if s.is_alwayson}
    for title, values in values_of_scripts(always, kind)[1].items():
        field = f"alwayson_scripts.{title}"
        if title.lower() in selectable:
            raise BadRequest(field, "this script is a selectable one.", remedy="Name it in script_name.")
        if title.lower() not in names:
            raise unknown(field, "always-on script", title, list(names.values()))
        if not isinstance(values, Mapping) or not isinstance(values.get("args", []), list):
            raise BadRequest(field, 'expected {"args": [...]}.', remedy="args holds the values in order.")


def in_flat_words(error: BadRequest) -> BadRequest:
    """An error that names a value of the request names the field of the body instead."""
    declaration = find_declaration(error.field)
    name = declaration.param.api if declaration is not None else ""
    if error.field == "hires.denoising_strength":
        name = "denoising_strength"
    if error.field.startswith("settings."):
        name = "override_settings." + error.field.partition(".")[2]
    if error.field.startswith("source.images"):
        name = error.field.replace("source.images", "init_images")
    pictures = {**PICTURES, "firstpass_image": "hires.image"}
    name = next((flat for flat, path in pictures.items() if path == error.field), name)
    if not name or name == error.field:
        return error
    message = error.message.removeprefix(f"{error.field}: ")
    fields = {key: value for key, value in error.fields.items() if key != "field"}
    return type(error)(name, message, remedy=error.remedy, **fields)


def _answer(app: App, request: GenerationRequest, data: Mapping[str, Any], row: JobRow) -> dict[str, Any]:
    if row.result is None or row.state == "cancelled":
        raise Conflict("The job was cancelled.", remedy="Send it again.", job=row.id)
    formats = {key: value for key, value in request.overrides.items() if key in FORMAT_KEYS}
    settings = app.settings.snapshot().overlaid(formats)
    pictures = row.result.get("pictures", ()) if request.output.send_images else ()
    images = [base64.b64encode(picture_bytes(app, p["sha256"], p["infotext"], settings)).decode() for p in pictures]
    return {
        "images": images,
        "parameters": flat_echo(data, request.kind),
        "info": json.dumps(row.result.get("info", {})),
    }


def picture_bytes(app: App, sha256: str, infotext: str, settings: SettingsSnapshot) -> bytes:
    """A finished picture in the format of the settings, its parameters inside as A1111 always puts them there."""
    data = app.blobs.bytes(sha256)
    png = settings.samples_format == "png"
    if png and settings.enable_pnginfo:
        return data
    image = open_image(data)
    return encode(
        image, settings.samples_format, infotext, settings.jpeg_quality, settings.webp_lossless, xmp=note_of(image)
    )
