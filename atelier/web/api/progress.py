"""How far the running job is, and how to end it, under A1111's paths; what its page asked under /internal."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from atelier.app import App
from atelier.base.errors import Conflict, NotFound
from atelier.jobs.progress import Progress
from atelier.web.api.common import OwnedApp

router = APIRouter(tags=["A1111: progress"])


class ProgressState(BaseModel):
    skipped: bool = Field(False, description="The current batch was asked to end.")
    interrupted: bool = Field(False, description="The job was asked to end.")
    stopping_generation: bool = Field(False, description="The job was asked to end after the current batch.")
    job: str = Field("", description="The id of the running job.")
    job_count: int = Field(0, description="How many batches it has; 0 when nothing runs.")
    job_timestamp: str = Field("0", description="When it began, YYYYMMDDHHMMSS.")
    job_no: int = Field(0, description="The current batch, from 0.")
    sampling_step: int = Field(0, description="The current step of the batch.")
    sampling_steps: int = Field(0, description="The steps of a batch.")


class ProgressAnswer(BaseModel):
    progress: float = Field(description="0 to 1; 0 when nothing runs.")
    eta_relative: float = Field(description="Seconds left; 0 while unknown.")
    state: ProgressState = Field(description="What A1111 calls the state.")
    current_image: str | None = Field(None, description="A preview as base64.")
    textinfo: str | None = Field(None, description="What is done now, in words.")
    current_task: str | None = Field(None, description="The id of the running job.")


class TaskQuestion(BaseModel):
    id_task: str | None = Field(None, description="The job that is asked for.")
    id_live_preview: int | None = Field(-1, description="The preview that the asker has.")
    live_preview: bool | None = Field(True, description="Whether a preview is wanted.")


class TaskAnswer(BaseModel):
    active: bool = Field(description="It runs.")
    queued: bool = Field(description="It waits.")
    completed: bool = Field(description="It has ended.")
    progress: float | None = Field(None, description="0 to 1.")
    eta: float | None = Field(None, description="Seconds left.")
    live_preview: str | None = Field(None, description="A new preview as data: URI.")
    id_live_preview: int | None = Field(None, description="Its number.")
    textinfo: str | None = Field(None, description="What is done now, in words.")


class PendingTasks(BaseModel):
    size: int = Field(description="How many jobs wait.")
    tasks: list[str] = Field(description="Their ids, next first.")


@router.get("/sdapi/v1/progress", response_model=ProgressAnswer)
def progress(app: OwnedApp, skip_current_image: bool = False) -> ProgressAnswer:
    """How far the running job is."""
    shown = app.settings.get("live_previews_enable") and not skip_current_image
    current = app.progress.running(watching=shown)
    if current is None:
        return ProgressAnswer(progress=0, eta_relative=0, state=ProgressState())
    # A1111 adds a hundredth, so that a job that has begun is told from none.
    done = min(1.0, 0.01 + current.fraction)
    return ProgressAnswer(
        progress=done,
        eta_relative=current.seconds_left or 0.0,
        state=_state(app, current),
        current_image=(current.preview or None) if shown else None,
        textinfo=current.stage or None,
        current_task=current.job,
    )


def _state(app: App, current: Progress) -> ProgressState:
    row = app.records.find(current.job)
    payload: dict[str, Any] = row.payload if row is not None else {}
    batches = max(1, int((payload.get("batch") or {}).get("count") or 1))
    each = current.steps // batches if current.steps else 0
    batch = min(batches - 1, max(0, current.step - 1) // each) if each else 0
    mode = app.executor.running_mode()
    return ProgressState(
        skipped=mode == "skip",
        interrupted=mode in ("stop", "cancel"),
        stopping_generation=mode == "finish",
        job=current.job,
        job_count=batches,
        job_no=batch,
        sampling_step=current.step - batch * each,
        sampling_steps=each,
        job_timestamp=datetime.fromtimestamp(current.started).strftime("%Y%m%d%H%M%S"),
    )


@router.post("/sdapi/v1/interrupt")
def interrupt(app: OwnedApp) -> dict[str, Any]:
    """Ends the running job and keeps what is done. Harmless when nothing runs."""
    _end_running(app, "finish" if app.settings.get("interrupt_after_current") else "stop")
    return {}


@router.post("/sdapi/v1/skip")
def skip(app: OwnedApp) -> None:
    """Ends the current batch and goes on with the next."""
    _end_running(app, "skip")


def _end_running(app: App, mode: str) -> None:
    running = app.executor.running
    if running:
        try:
            app.executor.cancel(running, mode)
        except (Conflict, NotFound):
            pass  # it ended by itself in this moment


@router.post("/internal/progress", response_model=TaskAnswer)
def task_progress(app: OwnedApp, question: TaskQuestion) -> TaskAnswer:
    """How far one job is, as A1111's page asks."""
    id = question.id_task or ""
    found = app.progress.get(id, watching=bool(question.live_preview)) if id else None
    if found is None or not found.active:
        waiting = app.executor.queued()
        queued = id in waiting
        row = None if queued or not id or found is not None else app.records.find(id)
        completed = (found is not None and found.final) or (row is not None and row.final)
        text = f"In queue: {waiting.index(id) + 1}/{len(waiting)}" if queued else "Waiting..."
        return TaskAnswer(active=False, queued=queued, completed=completed, id_live_preview=-1, textinfo=text)
    preview, number = None, question.id_live_preview
    if question.live_preview and found.preview and found.preview_id != question.id_live_preview:
        preview, number = f"data:{found.preview_media};base64,{found.preview}", found.preview_id
    return TaskAnswer(
        active=True,
        queued=False,
        completed=False,
        progress=found.fraction,
        eta=found.seconds_left,
        live_preview=preview,
        id_live_preview=number,
        textinfo=found.stage or None,
    )


@router.get("/internal/pending-tasks", response_model=PendingTasks)
def pending_tasks(app: OwnedApp) -> PendingTasks:
    waiting = app.executor.queued()
    return PendingTasks(size=len(waiting), tasks=waiting)


@router.get("/internal/ping")
def ping() -> dict[str, Any]:
    """Answers while the server lives; a page uses it to notice a restart."""
    return {}
