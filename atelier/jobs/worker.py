"""Worker: owns one engine and runs one job after another on the thread that calls it."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from atelier.base.cancel import CancelToken
from atelier.base.errors import AtelierError, DeviceLost, InternalError, Interrupted
from atelier.base.events import EngineChanged, Event, JobFailed, JobFinished, JobStarted, ModelLoaded, Notice
from atelier.base.log import fields, logger
from atelier.jobs.executor import STEADY, Engine, EngineConfig, EngineState
from atelier.jobs.job import Job

log = logger(__name__)


class Worker:
    """`settings()` gives the snapshot that a job runs under. `finished(id, state, result, error)` writes the record.

    No failure of a job ends the worker: it becomes a `JobFailed` event, and the next job runs.
    """

    def __init__(
        self,
        engine: str,
        config: EngineConfig,
        settings: Callable[[], Any],
        finished: Callable[[str, str, dict[str, Any] | None, dict[str, Any] | None], None],
    ) -> None:
        self._engine_name = engine
        self._publish_outside = config.publish
        self._config = replace(config, publish=self._publish)
        self._settings = settings
        self._finished = finished
        self._engine: Engine | None = None
        self._model_changed = False
        self.state = EngineState()
        self.capabilities: Any = None

    def build(self) -> bool:
        """Imports and builds the engine. On failure the state says why, and False is returned."""
        started = time.monotonic()
        self._change("starting", "The engine is starting.")
        module, _, function = self._engine_name.partition(":")
        try:
            self._engine = getattr(importlib.import_module(module), function)(self._config)
            self.capabilities = self._engine.capabilities()
        except (Exception, SystemExit) as error:  # whatever a library does, the page must be able to say it
            log.exception("engine could not be built: %s", fields(engine=self._engine_name))
            message = str(error) if isinstance(error, AtelierError) else f"{type(error).__name__}: {error}"
            self._change("failed", f"The engine could not be started. {message}")
            return False
        log.info("engine ready: %s", fields(seconds=round(time.monotonic() - started, 2)))
        self._change("ready", "")
        return True

    def run(self, job: Job, token: CancelToken) -> None:
        assert self._engine is not None
        started = time.monotonic()
        self._publish(JobStarted(job=job.id))
        result: dict[str, Any] = {}
        error: dict[str, Any] | None = None
        try:
            result = self._engine.run(job, token, self._publish, self._settings()) or {}
        except Interrupted as wish:
            result = {"state": "cancelled" if wish.mode == "cancel" else "stopped", "pictures": []}
        except DeviceLost as failure:
            error = failure.to_json()
            self._change("lost", f"{failure} Restart the program; the queue is kept.")
        except AtelierError as failure:
            log.warning("job failed: %s", fields(job=job.id, code=failure.code, message=failure.message))
            error = failure.to_json()
        except (Exception, SystemExit) as failure:  # a bug, ours or an extension's, must cost one job only
            log.exception("job failed: %s", fields(job=job.id))
            error = _internal(failure)
        self._end(job, result, error, time.monotonic() - started)

    def _end(self, job: Job, result: dict[str, Any], error: dict[str, Any] | None, seconds: float) -> None:
        # What can be chosen is asked before the job is announced as done, so that who waited for it sees the change.
        if job.kind not in STEADY or self._model_changed:
            self._refresh()
        if error is not None:
            self._finished(job.id, "failed", None, error)
            self._publish(JobFailed(job=job.id, error=error))
            return
        state = result.get("state", "done")
        state = state if state in ("done", "stopped", "cancelled") else "done"
        self._finished(job.id, state, result, None)
        pictures = sum(1 for p in result.get("pictures", ()) if p.get("role", "picture") == "picture")
        self._publish(JobFinished(job=job.id, state=state, seconds=round(seconds, 3), pictures=pictures))
        log.info("job ended: %s", fields(job=job.id, state=state, seconds=round(seconds, 2), pictures=pictures))

    def close(self) -> None:
        engine, self._engine = self._engine, None
        if engine is None:
            return
        try:
            engine.close()
        except Exception:  # the program ends anyway; the queue and the store must still be closed
            log.exception("engine could not be closed cleanly")
        self._change("closed", "The engine is closed.")

    def _refresh(self) -> None:
        self._model_changed = False
        if self.state.dead or self._engine is None:
            return
        before = self.capabilities
        try:
            self.capabilities = self._engine.capabilities()
        except Exception as error:  # the lists stay as they were
            log.exception("capabilities could not be read")
            self._publish(Notice(message=f"The lists of models could not be read again: {error}"))
            return
        if self.capabilities != before:
            self._change("ready", "")

    def _publish(self, event: Event) -> Event:
        if isinstance(event, ModelLoaded):
            self._model_changed = True
        return self._publish_outside(event)

    def _change(self, name: str, message: str) -> None:
        self.state = EngineState(name, message)
        self._publish(EngineChanged(state=name, message=message))


def _internal(failure: BaseException) -> dict[str, Any]:
    name = type(failure).__name__
    remedy = "This is a fault of the program or of an extension; the log has the details."
    return InternalError(f"{name}: {failure}", remedy=remedy, exception=name).to_json()
