"""Pictures by their hash, uploads, what the engine can do, the server's health, and what a page had on its controls."""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from atelier.base.version import VERSION
from atelier.params.capabilities import Capabilities
from atelier.web.api.common import FAILURES, OwnedApp, json_body, json_schema_body, lists
from atelier.web.auth import client_of

router = APIRouter(prefix="/atelier/v1", tags=["Pictures and program"], responses=dict(FAILURES))

#: how a picture's bytes begin, and what they are then
_BEGINNINGS = (
    (b"\x89PNG", 0, "image/png"), (b"\xff\xd8\xff", 0, "image/jpeg"), (b"GIF8", 0, "image/gif"),
    (b"WEBP", 8, "image/webp"), (b"avif", 8, "image/avif"), (b"BM", 0, "image/bmp"),
)  # fmt: skip
_ANY_OBJECT = MappingProxyType({"type": "object", "description": "Any values by name.", "additionalProperties": True})
_BYTES = MappingProxyType(
    {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
)


class ImageView(BaseModel):
    sha256: str = Field(description="Name of the bytes; a request takes it in place of base64.")
    width: int = Field(description="Width in pixels, upright.")
    height: int = Field(description="Height in pixels, upright.")
    media: str = Field(description="Media type of the bytes.")


class Health(BaseModel):
    status: str = Field(description="ok, starting or failed.")
    engine: str = Field(description="starting, ready, failed, lost or closed.")
    message: str = Field(description="Why, for people.")
    model: str = Field(description="Title of the loaded checkpoint, or empty.")
    model_error: str = Field(description="Why the last one could not be loaded, or empty.")
    version: str = Field(description="Version of the program.")
    running: str = Field(description="The id of the running job, or empty.")
    waiting: int = Field(description="How many jobs wait.")


@router.get("/pictures/{sha256}", response_class=Response, responses={200: {"content": {"image/*": {}}}})
def picture(sha256: str, app: OwnedApp) -> Response:
    """The bytes of a picture; they never change."""
    data = app.blobs.bytes(sha256)
    headers = {
        "Cache-Control": "private, max-age=31536000, immutable",
        "ETag": f'"{sha256}"',
        "X-Content-Type-Options": "nosniff",
    }
    return Response(data, media_type=media_of(data), headers=headers)


def media_of(data: bytes) -> str:
    """The media type of a picture that was decoded before, by its first bytes."""
    for mark, offset, media in _BEGINNINGS:
        if data[offset : offset + len(mark)] == mark:
            return media
    return "application/octet-stream"


@router.post("/images", response_model=ImageView, openapi_extra={"requestBody": dict(_BYTES)})
async def upload(request: Request, app: OwnedApp) -> ImageView:
    """Keeps a picture, the raw bytes of its file as body, so that requests can name it by its hash."""
    data = await request.body()
    ref = await run_in_threadpool(app.blobs.put_bytes, data, "body")
    return ImageView(sha256=ref.sha256, width=ref.width, height=ref.height, media=ref.media)


@router.get("/capabilities", response_model=Capabilities)
async def capabilities(app: OwnedApp) -> Any:
    """Everything that can be chosen: samplers, schedules, models and more."""
    return (await lists(app)).to_json()


@router.get("/health", response_model=Health)
def health(app: OwnedApp) -> Health:
    """Answers while the server lives, whatever the engine does."""
    state, known = app.executor.engine_state, app.capabilities()
    status = {"ready": "ok", "starting": "starting"}.get(state.name, "failed")
    return Health(
        status=status,
        engine=state.name,
        message=state.message,
        model=known.model if known else "",
        version=VERSION,
        model_error=known.model_error if known else "",
        running=app.executor.running,
        waiting=len(app.executor.queued()),
    )


@router.get("/sessions/{tab}", response_model=dict[str, Any])
def load_session(
    tab: str, request: Request, app: OwnedApp,
    client: Annotated[str, Query(max_length=200, description="A browser's own id; by default who asks.")] = "",
) -> dict[str, Any]:  # fmt: skip
    """What a page had on the controls of a tab; empty when nothing is kept."""
    return app.sessions.load(client or client_of(request), tab) or {}


@router.put("/sessions/{tab}", response_model=dict[str, Any], openapi_extra=json_schema_body(_ANY_OBJECT))
async def save_session(
    tab: str, request: Request, app: OwnedApp,
    client: Annotated[str, Query(max_length=200, description="A browser's own id; by default who asks.")] = "",
) -> dict[str, Any]:  # fmt: skip
    """Keeps the given values beside those that were kept before."""
    values = await json_body(request)
    return await run_in_threadpool(app.sessions.update, client or client_of(request), tab, values)
