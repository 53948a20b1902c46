"""POST /sdapi/v1/extra-single-image, extra-batch-images and interrogate, as A1111 answers; nothing is saved."""

from __future__ import annotations

import base64
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from atelier.app import App
from atelier.base.errors import BadRequest, Conflict, NotFound
from atelier.imaging.decode import open_image
from atelier.imaging.writer import encode
from atelier.params.extras import ExtrasRequest
from atelier.params.extras_schema import (
    BATCH,
    SINGLE,
    extras_from_flat,
    extras_from_json,
    flat_extras_schema,
    in_flat_extras_words,
)
from atelier.params.settings import SettingsSnapshot
from atelier.params.value_json import image_from, plain
from atelier.store.jobs import JobRow
from atelier.web.api.common import FAILURES, OwnedApp, image_store, json_body, json_schema_body, until_ended
from atelier.web.auth import client_of
from atelier.web.folders import checked_folder

#: who may be asked for a description
DESCRIBERS = ("clip", "deepdanbooru", "blip")

router = APIRouter(tags=["A1111: extras"], responses=dict(FAILURES))


class SingleAnswer(BaseModel):
    html_info: str = Field(description="What was done, as paragraphs of HTML.")
    image: str = Field(description="The result as base64.")


class BatchAnswer(BaseModel):
    html_info: str = Field(description="What was done, as paragraphs of HTML.")
    images: list[str] = Field(description="The results as base64.")


@router.post(
    "/sdapi/v1/extra-single-image", response_model=SingleAnswer,
    openapi_extra=json_schema_body(flat_extras_schema(SINGLE)),
)  # fmt: skip
async def extra_single_image(request: Request, app: OwnedApp) -> dict[str, Any]:
    """Enlarges one picture and repairs its faces."""
    row = await _run(request, app, SINGLE)
    images, info = await run_in_threadpool(_answer, app, row)
    return {"html_info": info, "image": images[0] if images else ""}


@router.post(
    "/sdapi/v1/extra-batch-images", response_model=BatchAnswer,
    openapi_extra=json_schema_body(flat_extras_schema(BATCH)),
)  # fmt: skip
async def extra_batch_images(request: Request, app: OwnedApp) -> dict[str, Any]:
    """The same for several pictures."""
    row = await _run(request, app, BATCH)
    images, info = await run_in_threadpool(_answer, app, row)
    return {"html_info": info, "images": images}


class CaptionAnswer(BaseModel):
    caption: str = Field(description="What the picture shows.")


@router.post(
    "/sdapi/v1/interrogate", response_model=CaptionAnswer,
    openapi_extra=json_schema_body({
        "type": "object",
        "properties": {
            "image": {"type": "string", "description": "The picture as base64."},
            "model": {"type": "string", "enum": list(DESCRIBERS), "default": "clip", "description": "Who describes."},
        },
        "required": ["image"],
    }),
)  # fmt: skip
async def interrogate(request: Request, app: OwnedApp) -> dict[str, Any]:
    """Describes a picture: clip gives a sentence, deepdanbooru tags."""
    data = await json_body(request)
    if data.get("image") is None:
        raise NotFound("There is no picture.", remedy="Send image as base64.")
    model = data.get("model", "clip")
    if model not in DESCRIBERS:
        raise NotFound("Model not found", remedy=f"Use one of: {', '.join(DESCRIBERS)}.")
    ref = await run_in_threadpool(lambda: image_from(data["image"], "image", image_store(app)))
    payload = {"image": plain(ref), "model": model}
    ticket = await run_in_threadpool(lambda: app.submit_job("interrogate", payload, client=client_of(request)))
    row = await until_ended(app, ticket.id)
    if row.result is None or row.state in ("cancelled", "stopped"):
        raise Conflict("The job was cancelled.", remedy="Send it again.", job=row.id)
    return {"caption": str(row.result.get("caption", ""))}


async def _run(request: Request, app: App, form: str) -> JobRow:
    data = await json_body(request)
    try:
        asked = await run_in_threadpool(lambda: extras_from_flat(data, form, store=image_store(app)))
        ticket = await run_in_threadpool(lambda: app.submit_extras(asked, client=client_of(request)))
        return await until_ended(app, ticket.id)
    except BadRequest as error:
        raise in_flat_extras_words(error) from error


def _answer(app: App, row: JobRow) -> tuple[list[str], str]:
    if row.result is None or row.state == "cancelled":
        raise Conflict("The job was cancelled.", remedy="Send it again.", job=row.id)
    settings = app.settings.snapshot()
    images = [base64.b64encode(_bytes(app, p, settings)).decode() for p in row.result.get("pictures", ())]
    return images, str(row.result.get("info", {}).get("html_info", ""))


def _bytes(app: App, picture: dict[str, Any], settings: SettingsSnapshot) -> bytes:
    """As the run has encoded it: in the format of the settings, its texts inside, even where files have none."""
    data = app.blobs.bytes(picture["sha256"])
    if settings.enable_pnginfo or not picture["infotext"]:
        return data
    image = open_image(data)
    format = "png" if "A" in image.getbands() else settings.samples_format
    return encode(image, format, picture["infotext"], settings.jpeg_quality, settings.webp_lossless)


def job_request(app: App, asked: Any) -> ExtrasRequest:
    """The request of a job of kind extras: the nested form, or the flat one of either route. Raises `BadRequest`."""
    store = image_store(app)
    if isinstance(asked.get("imageList"), list):
        return extras_from_flat(asked, BATCH, store=store)
    if isinstance(asked.get("image"), str):
        return extras_from_flat(asked, SINGLE, store=store)
    return with_checked_folders(app, extras_from_json(asked, store=store))


def with_checked_folders(app: App, request: ExtrasRequest) -> ExtrasRequest:
    """Raises `BadRequest`, `NotAllowed` for a folder that may not be used."""
    given, made = request.input.folder, request.output.folder
    return request.with_values(**{
        "input.folder": checked_folder(app, given, "input.folder", exists=True),
        "output.folder": checked_folder(app, made, "output.folder", exists=False),
    })  # fmt: skip
