"""LocalExecutor: one device, one thread of this process, one saved queue."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from atelier.base.cancel import CancelToken
from atelier.base.errors import AtelierError, BadRequest, Conflict, NotReady, SaveFailed, StoreFailed
from atelier.base.events import FINAL, Event, EventBus, JobFinished, JobQueued, Notice
from atelier.base.log import fields, logger
from atelier.jobs.executor import CANCEL_MODES, PASSING, EngineConfig, EngineState
from atelier.jobs.job import Job, Ticket
from atelier.jobs.worker import Worker
from atelier.store.jobs import JobRecords, JobRow

log = logger(__name__)

#: a job that was running when the process died is begun once more, and then taken for the cause
ATTEMPTS = 2
_RETRY_SECONDS = 5.0


class LocalExecutor:
    """`engine` is a dotted name, `atelier.engine:build`: it is imported on the worker's thread, never here."""

    def __init__(
        self, engine: str, config: EngineConfig, bus: EventBus, records: JobRecords, settings: Callable[[], Any]
    ) -> None:
        self._bus = bus
        self._records = records
        self._worker = Worker(engine, config, settings, self._record)
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._loop, name="atelier-worker", daemon=True)
        self._job: Job | None = None
        self._token = CancelToken()
        self._finishing = False
        self._paused = False
        self._stopping = False
        self._built = False
        self._unrecorded: dict[str, JobRow] = {}
        self._holder: int | None = None
        self._depth = 0
        self._leases_waiting = 0

    # -- life

    def start(self) -> None:
        self._recover()
        self._thread.start()

    def stop(self, timeout: float = 30.0) -> None:
        with self._changed:
            self._stopping = True
            self._token.request("stop")
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout)
        if self._thread.is_alive():
            log.warning("worker did not stop in time, its job is begun anew at the next start: %s",
                        fields(job=self.running, seconds=timeout))  # fmt: skip

    def wait_ready(self, timeout: float | None = None) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._built or self._stopping, timeout)
        return self.engine_state.name == "ready"

    @property
    def engine_state(self) -> EngineState:
        return self._worker.state

    def capabilities(self) -> Any:
        return self._worker.capabilities

    # -- jobs

    def submit(self, job: Job) -> Ticket:
        with self._changed:
            state = self._worker.state
            if state.dead or self._stopping:
                raise NotReady(state.message or "The program is ending.", remedy="See the log, then restart Atelier.")
            self._records.insert(job.id, job.kind, job.payload, priority=job.priority, client=job.client)
            ticket = Ticket(job.id, self._records.ahead_of(job.id))
            # Published before the worker may begin, so that events are in order.
            self._bus.publish(JobQueued(job=job.id, position=ticket.position))
            self._changed.notify_all()
            return ticket

    def cancel(self, id: str, mode: str = "stop") -> None:
        if mode not in CANCEL_MODES:
            raise BadRequest("mode", f"{mode!r} is not a way to end a job.", remedy=f"Use {', '.join(CANCEL_MODES)}.")
        with self._changed:
            if self._job is not None and self._job.id == id:
                self._finishing = self._finishing or mode == "finish"
                self._token.request(mode)
                return
            row = self._records.get(id)
            if row.final:
                raise Conflict(f"The job {id} has already ended: {row.state}.", job=id, state=row.state)
            self._records.set_state(id, "cancelled", expected=("queued", "paused"))
            self._bus.publish(JobFinished(job=id, state="cancelled"))
            self._changed.notify_all()

    def reorder(self, id: str, position: int) -> Ticket:
        with self._changed:
            others = [name for name in self.queued() if name != id]
            before = others[max(0, position)] if position < len(others) else None
            self._records.reorder(id, before=before)
            ticket = Ticket(id, self._records.ahead_of(id))
            self._bus.publish(JobQueued(job=id, position=ticket.position))
            return ticket

    def queued(self) -> list[str]:
        return [row.id for row in self._records.queued()]

    def row(self, id: str) -> JobRow:
        return self._unrecorded.get(id) or self._records.get(id)

    @property
    def running(self) -> str:
        job = self._job
        return job.id if job is not None else ""

    def running_mode(self) -> str | None:
        with self._changed:
            if self._job is None:
                return None
            return self._token.mode or ("finish" if self._finishing else None)

    def pause(self) -> None:
        self._set_paused(True)

    def resume(self) -> None:
        self._set_paused(False)

    @property
    def paused(self) -> bool:
        return self._paused

    def _set_paused(self, paused: bool) -> None:
        with self._changed:
            self._paused = paused
            self._changed.notify_all()

    # -- watching

    def watch(self, id: str, after: int = 0) -> Iterator[Event]:
        self._records.get(id)
        return self._watch(id, after)

    def _watch(self, id: str, after: int) -> Iterator[Event]:
        # Subscribed first and read after, so that nothing falls between what is stored and what is live.
        with self._bus.subscribe(id) as live:
            last = after
            for event in self._records.events(id, after):
                last = event.seq
                yield event
                if event.kind in FINAL:
                    return
            # What was published while the stored ones were read is still in the queue: it is emptied before the end.
            done = self.ended(id)
            while True:
                event = live.get(timeout=0.0 if done else 1.0)
                if event is None:
                    if done:
                        return
                    done = self.ended(id)
                elif event.seq > last:
                    last = event.seq
                    yield event
                    if event.kind in FINAL:
                        return

    def ended(self, id: str) -> bool:
        """True when no further event of a job will come from this process."""
        with self._changed:
            if self.running == id:
                return False
            row = self._records.find(id)
            # A job that runs by its record and not in fact is one whose end could not be written.
            waits = row is not None and not row.final and row.state != "running"
            return not waits or (self._stopping and not self._thread.is_alive())

    # -- the device

    @contextmanager
    def lease(self, timeout: float | None = None) -> Iterator[None]:
        self._take(timeout)
        try:
            yield
        finally:
            self._give()

    def _take(self, timeout: float | None) -> None:
        me = threading.get_ident()
        with self._changed:
            if self._holder == me:
                self._depth += 1
                return
            self._leases_waiting += 1
            try:
                free = self._changed.wait_for(lambda: self._holder is None, timeout)
            finally:
                self._leases_waiting -= 1
            if not free:
                raise NotReady("The device is busy.", remedy="Wait until the running job has ended.", job=self.running)
            self._holder, self._depth = me, 1

    def _give(self) -> None:
        with self._changed:
            self._depth -= 1
            if self._depth == 0:
                self._holder = None
                self._changed.notify_all()

    # -- the worker's thread

    def _loop(self) -> None:
        with self.lease():
            self._worker.build()
        with self._changed:
            self._built = True
            self._changed.notify_all()
        while (job := self._next()) is not None:
            try:
                self._worker.run(job, self._token)
            finally:
                with self._changed:
                    self._job = None
                self._give()
        self._worker.close()

    def _next(self) -> Job | None:
        """Waits for a job and takes the device for it; None when the program ends."""
        with self._changed:
            while not self._stopping:
                pause = None
                # Whoever waits for a lease goes before the next job, or a long queue would keep it out for ever.
                if self._worker.state.name == "ready" and self._holder is None and not self._leases_waiting:
                    try:
                        job = self._claim()
                    except (StoreFailed, SaveFailed) as error:
                        log.error("queue cannot be read: %s", fields(reason=error.message))
                        job, pause = None, _RETRY_SECONDS
                    if job is not None:
                        self._job, self._token, self._finishing = job, CancelToken(), False
                        self._holder, self._depth = threading.get_ident(), 1
                        return job
                self._changed.wait(pause)
            return None

    def _claim(self) -> Job | None:
        row = None if self._paused else self._records.claim_next()
        if row is None:
            return None
        return Job(row.kind, row.payload, row.id, row.priority, row.client, row.created)

    def _record(self, id: str, state: str, result: dict[str, Any] | None, error: dict[str, Any] | None) -> None:
        try:
            self._records.set_state(id, state, result=result, error=error)
        except AtelierError as failure:
            # A full disk must not take the result away from who waits for it.
            log.error("end of a job could not be recorded: %s", fields(job=id, state=state, reason=failure.message))
            self._unrecorded[id] = replace(self._records.get(id), state=state, result=result, error=error)
            self._bus.publish(Notice(job=id, message=f"The job could not be recorded. {failure}"))

    def _recover(self) -> None:
        for row in self._records.recover(ATTEMPTS):
            log.warning("job was interrupted by the end of the program: %s", fields(job=row.id, now=row.state))
        for row in self._records.queued():
            self._bus.resume(row.id, self._records.last_seq(row.id))
            if row.kind in PASSING:
                self._records.set_state(row.id, "cancelled")
                self._bus.publish(JobFinished(job=row.id, state="cancelled"))
