"""Memory, the model's place in it, parameters inside pictures, and the end of the server, under A1111's paths."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import psutil
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response

from atelier.app import App
from atelier.base.errors import AtelierError, BadRequest, Conflict, NotFound
from atelier.imaging.decode import decode_base64
from atelier.params.infotext import parse_infotext
from atelier.web.answers import Json
from atelier.web.api.common import FAILURES, OwnedApp, json_body, json_schema_body, until_ended
from atelier.web.reading import read_picture

router = APIRouter(tags=["A1111: system"], responses=dict(FAILURES))
#: only with --api-server-stop
stop_router = APIRouter(tags=["A1111: system"])

#: how long the device is asked for its numbers before the answer comes without them
_MEMORY_SECONDS = 2.0

_PICTURE = MappingProxyType({
    "type": "object", "required": ["image"],
    "properties": {"image": {"type": "string", "description": "A picture of any format, as base64 or data: URI."}},
})  # fmt: skip


class MemoryAnswer(BaseModel):
    ram: dict[str, Any] = Field(description="free, used and total memory of the machine, in bytes.")
    cuda: dict[str, Any] = Field(description="Memory of the device, in bytes, or the reason why it is not known.")


class PngInfoAnswer(BaseModel):
    info: str = Field(description="The parameters as text; empty when there are none.")
    items: dict[str, Any] = Field(description="Other texts in the file.")
    parameters: dict[str, Any] = Field(description="The parameters, parsed.")
    program: str = Field("", description="The program that wrote them, where it is known by its own form.")
    original: str = Field("", description="What that program wrote, as it stands in the file.")
    watermark: str = Field("", description="The word that is hidden in the pixels; empty when there is none.")


@router.get("/sdapi/v1/memory", response_model=MemoryAnswer)
async def memory(app: OwnedApp) -> MemoryAnswer:
    """Answers at once: while the device is busy or not ready, without its numbers."""
    numbers = psutil.virtual_memory()
    ram = {"free": numbers.available, "used": numbers.used, "total": numbers.total}
    state = app.executor.engine_state
    if state.name != "ready":
        return MemoryAnswer(ram=ram, cuda={"error": state.message or "The engine is not ready."})
    if app.executor.running:
        return MemoryAnswer(ram=ram, cuda={"error": "The device is busy."})
    ticket = None
    try:
        ticket = await run_in_threadpool(app.submit_job, "memory", {})
        row = await until_ended(app, ticket.id, _MEMORY_SECONDS)
    except AtelierError as error:
        if ticket is not None:
            await run_in_threadpool(_withdraw, app, ticket.id)
        return MemoryAnswer(ram=ram, cuda={"error": error.message})
    return MemoryAnswer(ram=ram, cuda=(row.result or {}).get("cuda") or {"error": "unavailable"})


def _withdraw(app: App, job: str) -> None:
    try:
        app.executor.cancel(job, "cancel")
    except (Conflict, NotFound):
        pass  # it ended in this moment


@router.post("/sdapi/v1/unload-checkpoint")
async def unload_checkpoint(app: OwnedApp) -> dict[str, Any]:
    """Frees the memory of the model; the next job loads it again."""
    await _work(app, "unload_model", {})
    return {}


@router.post("/sdapi/v1/reload-checkpoint")
async def reload_checkpoint(app: OwnedApp) -> dict[str, Any]:
    """Loads the chosen checkpoint."""
    await _work(
        app, "load_model", {"checkpoint": app.settings.get("sd_model_checkpoint"), "vae": app.settings.get("sd_vae")}
    )
    return {}


async def _work(app: App, kind: str, payload: dict[str, Any]) -> None:
    ticket = await run_in_threadpool(app.submit_job, kind, payload)
    await until_ended(app, ticket.id)


@router.post("/sdapi/v1/png-info", response_model=PngInfoAnswer, openapi_extra=json_schema_body(_PICTURE))
async def png_info(request: Request, app: OwnedApp) -> PngInfoAnswer:
    """The parameters inside a picture."""
    data = await json_body(request)
    return await run_in_threadpool(_read_picture, app, data.get("image"))


def _read_picture(app: App, text: Any) -> PngInfoAnswer:
    if not isinstance(text, str):
        raise BadRequest("image", "expected a picture as text.", remedy="Send it as base64.")
    found, told, word = read_picture(decode_base64(text, "image"), "image")
    values = parse_infotext(told.infotext, extract_styles=app.styles.extract) if told.infotext else {}
    parameters = {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
    return PngInfoAnswer(
        info=told.infotext, items=dict(found.items), parameters=parameters, program=told.program,
        original=told.original, watermark=word,
    )  # fmt: skip


@stop_router.post("/sdapi/v1/server-kill")
def server_kill(app: OwnedApp) -> Response:
    """Ends the program at once."""
    return _leave(app, "kill", Json(None))


@stop_router.post("/sdapi/v1/server-restart")
def server_restart(app: OwnedApp) -> Response:
    """Ends the program so that its launcher starts it again; 501 where it cannot."""
    if not app.arguments.get("can_restart"):
        return PlainTextResponse("", status_code=501)
    return _leave(app, "restart", PlainTextResponse("Restarting."))


@stop_router.post("/sdapi/v1/server-stop")
def server_stop(app: OwnedApp) -> Response:
    """Lets the running job stop, then ends the program."""
    return _leave(app, "stop", PlainTextResponse("Stopping."))


def _leave(app: App, how: str, answer: Response) -> Response:
    if app.exit is None:
        raise NotFound("This server was not started by a program that can end it.", remedy="End its process.")
    answer.background = BackgroundTask(app.exit, how)
    return answer
