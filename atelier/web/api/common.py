"""What all routes share: the App, bodies as JSON, pictures in bodies, waiting for jobs without a thread."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from atelier.app import App
from atelier.base.errors import BadRequest, NotReady
from atelier.base.events import FINAL, Event
from atelier.base.refs import ImageRef
from atelier.imaging.decode import decode_base64
from atelier.params.capabilities import Capabilities
from atelier.store.jobs import JobRow
from atelier.web.answers import Failure
from atelier.web.api.fetch import fetch_picture

#: how long a list waits for an engine that is starting
PATIENCE = 15.0
#: seconds after which a silent stream says that it is still there
HEARTBEAT = 15.0

#: failures that any route may answer with, for the documentation
FAILURES: Mapping[int | str, dict[str, Any]] = MappingProxyType({
    422: {"model": Failure, "description": "A value that cannot be used; `fields.field` names it."},
    503: {"model": Failure, "description": "The engine is not ready."},
})  # fmt: skip


def app_of(request: Request) -> App:
    return request.app.state.app


OwnedApp = Annotated[App, Depends(app_of)]


async def json_body(request: Request) -> dict[str, Any]:
    """The body as an object, whatever its content type says. Raises `BadRequest` on `body`."""
    raw = await request.body()
    try:
        data = await run_in_threadpool(json.loads, raw) if raw else {}
    except (ValueError, RecursionError) as error:
        raise BadRequest("body", f"this is not JSON ({str(error)[:200]}).", remedy="Send a JSON object.") from error
    if not isinstance(data, dict):
        raise BadRequest("body", f"expected an object, got {type(data).__name__}.", remedy="Send a JSON object.")
    return data


def json_schema_body(schema: Mapping[str, Any], required: bool = True) -> dict[str, Any]:
    """`openapi_extra` of a route that reads its body by itself."""
    return {"requestBody": {"required": required, "content": {"application/json": {"schema": dict(schema)}}}}


def image_store(app: App) -> Callable[[str, str], ImageRef]:
    """Takes a picture of a body into the blob store: base64, a data URI, or a URL where settings allow it."""

    def store(field: str, text: str) -> ImageRef:
        if text[:8].lower().startswith(("http://", "https://")):
            return app.blobs.put_bytes(fetch_picture(text.strip(), field, app.settings.snapshot()), field)
        return app.blobs.put_bytes(decode_base64(text, field), field)

    return store


async def lists(app: App, patience: float = PATIENCE) -> Capabilities:
    """What can be chosen; waits a while for an engine that is starting. Raises `NotReady`."""
    end = time.monotonic() + patience
    while (found := app.capabilities()) is None:
        state = app.executor.engine_state
        if state.dead or time.monotonic() > end:
            raise NotReady(
                state.message or "The engine is still starting.", remedy="Try again in a moment.", state=state.name
            )
        await asyncio.sleep(0.05)
    return found


async def until_ended(app: App, job: str, timeout: float | None = None) -> JobRow:
    """The row of a job when it has ended. Raises the job's own failure, or `NotReady` after `timeout` seconds."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    with app.endings.telling(job, lambda: _call(loop, done.set)) as told:
        ended = told or await run_in_threadpool(app.executor.ended, job)
        if not ended and not app.executor.engine_state.dead:
            try:
                await asyncio.wait_for(done.wait(), timeout)
            except asyncio.TimeoutError:
                pass  # `outcome` says that it has not ended
    return await run_in_threadpool(app.outcome, job)


async def follow(app: App, job: str, after: int = 0) -> AsyncIterator[Event | None]:
    """As `Executor.watch`, for an event loop; None now and then, when nothing happens. Raises `NotFound`."""
    loop, more = asyncio.get_running_loop(), asyncio.Event()
    await run_in_threadpool(app.records.get, job)
    with app.bus.subscribe(job, wake=lambda: _call(loop, more.set)) as live:
        last = after
        for event in await run_in_threadpool(app.records.events, job, after):
            last = event.seq
            yield event
            if event.kind in FINAL:
                return
        # What was published while the stored ones were read is still in the queue: it is emptied before the end.
        done = await run_in_threadpool(app.executor.ended, job)
        while True:
            more.clear()
            event = live.get(timeout=0)
            if event is None:
                if done:
                    return
                if await _silent(more):
                    yield None
                    done = await run_in_threadpool(app.executor.ended, job)
            elif event.seq > last:
                last = event.seq
                yield event
                if event.kind in FINAL:
                    return


async def _silent(more: asyncio.Event) -> bool:
    try:
        await asyncio.wait_for(more.wait(), HEARTBEAT)
    except asyncio.TimeoutError:
        return True
    return False


def _call(loop: asyncio.AbstractEventLoop, function: Callable[[], Any]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(function)
