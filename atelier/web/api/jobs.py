"""Jobs under /atelier/v1: submit and get an id at once, list, follow by server-sent events, end, move."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from atelier.app import App
from atelier.base.errors import BadRequest
from atelier.base.events import Event, PictureReady
from atelier.jobs.executor import CANCEL_MODES, GENERATION
from atelier.jobs.job import Ticket
from atelier.jobs.progress import Progress
from atelier.params.capabilities import Capabilities
from atelier.params.extras import KIND as EXTRAS
from atelier.params.extras_schema import extras_schema, flat_extras_schema
from atelier.params.flat import flat_schema
from atelier.params.merging import REQUESTS
from atelier.params.names import get_model, get_vae
from atelier.params.part_json import part_from_json, part_to_json
from atelier.params.picture_batch import EXTRA
from atelier.params.request import GenerationRequest
from atelier.params.schema import json_schema, request_from_json
from atelier.store.jobs import JobRow
from atelier.web.api.common import FAILURES, OwnedApp, follow, image_store, json_body, json_schema_body, lists
from atelier.web.api.extras import job_request
from atelier.web.api.generate import check_scripts, flat_request, in_flat_words
from atelier.web.auth import client_of, user_of
from atelier.web.batch_check import with_checked_batch

router = APIRouter(prefix="/atelier/v1", tags=["Jobs"], responses=dict(FAILURES))

OTHER_KINDS = ("load_model", "unload_model", "refresh", *REQUESTS)
KINDS = (*GENERATION, EXTRAS, *OTHER_KINDS)
_JOB_BODY = MappingProxyType({
    "type": "object",
    "required": ["kind", "request"],
    "properties": {
        "kind": {"type": "string", "enum": [*KINDS], "description": "What is to be done."},
        "request": {
            "description": "The nested form, or for pictures also the flat form of /sdapi/v1.",
            "anyOf": [json_schema(), flat_schema("img2img"), flat_schema("txt2img"), extras_schema(),
                      flat_extras_schema("single"), {"type": "object"}],
        },
        "id": {"type": "string", "maxLength": 200, "description": "An id of your own; otherwise one is made."},
        "client": {"type": "string", "maxLength": 200, "description": "A word that tells your jobs from others."},
        "priority": {"type": "integer", "minimum": -1000, "maximum": 1000, "default": 0,
                     "description": "Higher runs earlier."},
    },
})  # fmt: skip


class TicketAnswer(BaseModel):
    id: str = Field(description="The id of the job.")
    position: int = Field(description="How many jobs are before it.")


class ProgressView(BaseModel):
    fraction: float = Field(description="0 to 1 over the whole job.")
    seconds_left: float | None = Field(None, description="Null until it can be told.")
    elapsed: float = Field(description="Seconds since it began.")
    step: int = Field(description="Steps done, over all batches and passes.")
    steps: int = Field(description="Steps of the whole job.")
    stage: str = Field(description="What is done now, in words.")
    pictures: int = Field(description="Pictures that are finished.")


class PictureView(BaseModel):
    index: int = Field(description="Place in the job.")
    sha256: str = Field(description="Name of its bytes.")
    url: str = Field(description="Where its bytes are.")
    width: int = Field(description="Width in pixels.")
    height: int = Field(description="Height in pixels.")
    path: str = Field(description="The file on the server; empty when it was not saved.")
    infotext: str = Field(description="Its parameters as text.")
    seed: int = Field(description="Its seed.")
    role: str = Field(description="picture, grid, mask, or a word of an extension.")


class JobView(BaseModel):
    id: str = Field(description="The id of the job.")
    kind: str = Field(description="What is done.")
    state: str = Field(description="queued, paused, running, done, stopped, cancelled or failed.")
    position: int | None = Field(None, description="How many jobs are before it, while it waits.")
    client: str = Field(description="Who asked.")
    priority: int = Field(description="Higher runs earlier.")
    created: float = Field(description="Seconds since 1970.")
    started: float | None = Field(None, description="Seconds since 1970.")
    finished: float | None = Field(None, description="Seconds since 1970.")
    attempts: int = Field(description="How often it was begun; more than once after a crash.")
    progress: ProgressView | None = Field(None, description="While it runs.")
    error: dict[str, Any] | None = Field(None, description="Why it failed: code, message, remedy, fields.")


class JobDetails(JobView):
    request: dict[str, Any] = Field(description="What was asked, in the nested form.")
    result: dict[str, Any] | None = Field(None, description="What came of it.")
    pictures: list[PictureView] = Field(description="The finished pictures, while it runs as well.")


class JobList(BaseModel):
    jobs: list[JobView] = Field(description="The newest first.")
    total: int = Field(description="How many there are without the limit.")
    running: str = Field(description="The id of the running job, or empty.")
    queue: list[str] = Field(description="The ids of waiting jobs, next first.")
    paused: bool = Field(description="Whether the queue is held.")


class CancelBody(BaseModel):
    mode: str = Field(
        "stop",
        description="stop keeps what is done, cancel discards it, skip ends the current batch, "
        "finish ends after the current batch.",
        json_schema_extra={"enum": [*CANCEL_MODES]},
    )


class MoveBody(BaseModel):
    position: int = Field(ge=0, description="0 is next.")


@router.post("/jobs", status_code=202, response_model=TicketAnswer, openapi_extra=json_schema_body(_JOB_BODY))
async def submit(request: Request, response: Response, app: OwnedApp) -> TicketAnswer:
    """Queues a job and answers at once."""
    data = await json_body(request)
    kind, asked = data.get("kind"), data.get("request", {})
    if kind not in KINDS:
        raise BadRequest("kind", f"{kind!r} is not a kind of job.", remedy=f"Use {', '.join(KINDS)}.")
    if not isinstance(asked, Mapping):
        raise BadRequest("request", "expected an object.", remedy="See /docs for its form.")
    client = _text(data, "client") or client_of(request)
    if kind in OTHER_KINDS:
        payload = _model_names(app, asked, await lists(app)) if kind == "load_model" else asked
        if kind in REQUESTS:
            payload = part_to_json(part_from_json(REQUESTS[kind], asked))
        ticket = await run_in_threadpool(app.submit_job, kind, payload, client=client)
    else:
        if asked.get("script_name") or asked.get("alwayson_scripts"):
            check_scripts(asked, kind, await lists(app), app.arguments)
        ticket = await run_in_threadpool(_submit, app, kind, data, client, user_of(request))
    response.headers["Location"] = f"/atelier/v1/jobs/{ticket.id}"
    return TicketAnswer(id=ticket.id, position=ticket.position)


def _submit(app: App, kind: str, data: Mapping[str, Any], client: str, user: str) -> Ticket:
    asked = data.get("request", {})
    priority = data.get("priority") or 0
    if not isinstance(priority, int) or abs(priority) > 1000:
        raise BadRequest("priority", "expected a whole number from -1000 to 1000.", remedy="Leave it out for 0.")
    if kind == EXTRAS:
        return app.submit_extras(
            job_request(app, asked), client=client, priority=priority, job_id=_text(data, "id")
        )  # fmt: skip
    flat = not all(isinstance(value, Mapping) for value in asked.values())
    try:
        request = flat_request(app, asked, kind) if flat else request_from_json(asked, store=image_store(app))
        if EXTRA in request.extras:
            # Folders are checked for each request: whoever asks may reach less than the program.
            request = with_checked_batch(app, request)
        _same_kind(kind, request)
        return app.submit(request, client=client, priority=priority, job_id=_text(data, "id"), user=user)
    except BadRequest as error:
        raise (in_flat_words(error) if flat else error) from error


def _model_names(app: App, asked: Mapping[str, Any], known: Capabilities) -> dict[str, str]:
    """What `load_model` takes: any name of a checkpoint, and of a VAE; by default those of the settings."""
    checkpoint = str(asked.get("checkpoint") or app.settings.get("sd_model_checkpoint"))
    vae = str(asked.get("vae") or app.settings.get("sd_vae"))
    title = get_model(known, checkpoint, "request.checkpoint").title if checkpoint else ""
    return {"checkpoint": title, "vae": get_vae(known, vae, "request.vae")}


def _same_kind(kind: str, request: GenerationRequest) -> None:
    if kind == "img2img" and request.kind != kind:
        raise BadRequest("source.images", "img2img needs a picture.", remedy="Give one, or use txt2img.")
    if request.kind != kind:
        raise BadRequest("kind", "a request with source.images is img2img.", remedy="Use img2img.")


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name) or ""
    if not isinstance(value, str) or len(value) > 200:
        raise BadRequest(name, "expected a text of at most 200 characters.", remedy="Leave it out.")
    return value


@router.get("/jobs", response_model=JobList)
def list_jobs(
    app: OwnedApp,
    state: Annotated[str | None, Query(description="Only jobs in this state; several separated by commas.")] = None,
    kind: Annotated[str | None, Query(description="Only jobs of this kind.")] = None,
    client: Annotated[str | None, Query(description="Only jobs of this client.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="How many at most.")] = 50,
    offset: Annotated[int, Query(ge=0, description="How many to leave out.")] = 0,
) -> JobList:
    states = state.split(",") if state else None
    rows = app.records.list(states=states, kind=kind, client=client, limit=limit, offset=offset)
    queue = app.executor.queued()
    return JobList(
        jobs=[_view(app, row, queue) for row in rows], queue=queue, running=app.executor.running,
        total=app.records.count(states=states, kind=kind, client=client), paused=app.executor.paused,
    )  # fmt: skip


@router.get("/jobs/{id}", response_model=JobDetails)
def get_job(id: str, app: OwnedApp) -> JobDetails:
    row = app.executor.row(id)
    view = _view(app, row, app.executor.queued())
    return JobDetails(**view.model_dump(), request=row.payload, result=row.result, pictures=pictures_of(app, row))


@router.get("/jobs/{id}/pictures", response_model=list[PictureView])
def get_pictures(id: str, app: OwnedApp) -> list[PictureView]:
    """The finished pictures of a job, while it runs as well."""
    return pictures_of(app, app.executor.row(id))


@router.get(
    "/jobs/{id}/events",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"text/event-stream": {}}, "description": "`id` is the number, `event` the kind, `data` JSON."}
    },
)
async def events(
    id: str,
    app: OwnedApp,
    after: Annotated[int | None, Query(ge=0, description="Only events numbered above this.")] = None,
    last_event_id: Annotated[str | None, Header(description="What a browser sends when it connects again.")] = None,
) -> StreamingResponse:
    """The events of a job as they come, those that were kept first; ends with the job."""
    if after is None:
        after = int(last_event_id) if (last_event_id or "").isdigit() else 0
    await run_in_threadpool(app.records.get, id)
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(_stream(app, id, after), media_type="text/event-stream", headers=headers)


async def _stream(app: App, id: str, after: int) -> AsyncIterator[str]:
    # A line at once, so that proxies and browsers see that the stream is open.
    yield ": open\n\n"
    async for event in follow(app, id, after):
        yield sse(event) if event is not None else ": still here\n\n"


def sse(event: Event) -> str:
    return f"id: {event.seq}\nevent: {event.kind}\ndata: {json.dumps(event.to_json())}\n\n"


@router.post("/jobs/{id}/cancel", response_model=JobView)
def cancel(id: str, app: OwnedApp, body: CancelBody | None = None) -> JobView:
    """Ends a job. A waiting job is taken out of the queue, whatever the mode."""
    app.executor.cancel(id, (body or CancelBody()).mode)
    return _view(app, app.executor.row(id), app.executor.queued())


@router.post("/jobs/{id}/move", response_model=TicketAnswer)
def move(id: str, body: MoveBody, app: OwnedApp) -> TicketAnswer:
    """Moves a waiting job within the queue."""
    ticket = app.executor.reorder(id, body.position)
    return TicketAnswer(id=ticket.id, position=ticket.position)


@router.post("/queue/pause")
def pause(app: OwnedApp) -> dict[str, bool]:
    """Begins no further job until the queue is resumed."""
    app.executor.pause()
    return {"paused": True}


@router.post("/queue/resume")
def resume(app: OwnedApp) -> dict[str, bool]:
    app.executor.resume()
    return {"paused": False}


def _view(app: App, row: JobRow, queue: list[str]) -> JobView:
    found = app.progress.get(row.id) if row.state == "running" else None
    return JobView(
        id=row.id, kind=row.kind, state=row.state, position=queue.index(row.id) if row.id in queue else None,
        client=row.client, priority=row.priority, created=row.created, started=row.started, finished=row.finished,
        attempts=row.attempts, error=row.error, progress=_progress(found) if found is not None else None,
    )  # fmt: skip


def _progress(p: Progress) -> ProgressView:
    return ProgressView(
        fraction=p.fraction, seconds_left=p.seconds_left, elapsed=p.elapsed, step=p.step, steps=p.steps, stage=p.stage,
        pictures=p.pictures,
    )  # fmt: skip


def pictures_of(app: App, row: JobRow) -> list[PictureView]:
    """The finished pictures of a job, also while it runs."""
    names = [name for name in PictureView.model_fields if name != "url"]
    if row.result is not None:
        found = [{name: p.get(name) for name in names} for p in row.result.get("pictures", ())]
    else:
        told = [e for e in app.records.events(row.id) if isinstance(e, PictureReady)]
        found = [{name: getattr(e, name) for name in names} for e in told]
    return [PictureView(**values, url=f"/atelier/v1/pictures/{values['sha256']}") for values in found]
