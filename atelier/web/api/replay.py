"""POST /atelier/v1/replay: a picture is made again and compared; the job's result holds the report."""

from __future__ import annotations

from functools import partial
from types import MappingProxyType

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from atelier.app import App
from atelier.base.errors import BadRequest
from atelier.params.value_json import image_from
from atelier.web.api.common import FAILURES, OwnedApp, image_store, json_body, json_schema_body, lists
from atelier.web.api.jobs import TicketAnswer
from atelier.web.auth import client_of
from atelier.web.replaying import replay_picture, saved_picture

router = APIRouter(prefix="/atelier/v1", tags=["Replay"], responses=dict(FAILURES))

_BODY = MappingProxyType({
    "type": "object",
    "properties": {
        "image": {
            "description": "The file of the picture, with its parameters inside: base64, or the hash of an upload.",
            "anyOf": [{"type": "string"}, {"type": "object", "properties": {"sha256": {"type": "string"}}}],
        },
        "picture": {"type": "integer", "description": "In place of it, the number of a saved picture in the index."},
    },
})  # fmt: skip


@router.post("/replay", status_code=202, response_model=TicketAnswer, openapi_extra=json_schema_body(_BODY))
async def replay(request: Request, response: Response, app: OwnedApp) -> TicketAnswer:
    """Makes a picture again. The job's result tells the largest and the mean difference of 255 under `replay`, and
    which recorded conditions are others now."""
    body = await json_body(request)
    await lists(app)
    data = await run_in_threadpool(_bytes, app, body)
    ticket = await run_in_threadpool(partial(replay_picture, app, data, client=client_of(request)))
    response.headers["Location"] = f"/atelier/v1/jobs/{ticket.id}"
    return TicketAnswer(id=ticket.id, position=ticket.position)


def _bytes(app: App, body: dict) -> bytes:
    number, image = body.get("picture"), body.get("image")
    if isinstance(number, int) and not isinstance(number, bool):
        return saved_picture(app, number)
    if image is None:
        raise BadRequest("image", "no picture is given.", remedy="Send image, or picture.")
    return app.blobs.bytes(image_from(image, "image", image_store(app)))
