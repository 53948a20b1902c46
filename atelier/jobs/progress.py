"""Progress: how far a job is, for people; kept up to date from its events."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from atelier.base.events import (
    Event,
    JobFailed,
    JobFinished,
    JobQueued,
    JobStarted,
    Notice,
    PictureReady,
    PreviewReady,
    StageChanged,
    StepDone,
)


@dataclass(frozen=True)
class Progress:
    """`state` is a job's state in words; `fraction` is 0..1 over the whole job; `seconds_left` is None until known.

    `step` of `steps` counts over all batches and passes. `preview` is base64 of an encoded picture, `preview_id`
    grows with each new one. `pictures` counts the finished ones. Times are seconds since the epoch.
    """

    job: str
    state: str = "queued"
    fraction: float = 0.0
    seconds_left: float | None = None
    elapsed: float = 0.0
    step: int = 0
    steps: int = 0
    pass_index: int = 0
    passes: int = 1
    pictures: int = 0
    stage: str = ""
    notice: str = ""
    preview: str = ""
    preview_media: str = "image/jpeg"
    preview_id: int = 0
    started: float = 0.0
    ended: float = 0.0
    error: str = ""

    @property
    def active(self) -> bool:
        return self.state == "running"

    @property
    def final(self) -> bool:
        return self.state not in ("queued", "running")


#: a running job is never shown as complete: decoding and saving come after the last step
ALMOST = 0.99
_KEPT = 64
_ASKED_FOR = 10.0


class ProgressBook:
    """The progress of the jobs of this process, the last 64 of them. Made to be a listener of the event bus."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._jobs: OrderedDict[str, Progress] = OrderedDict()
        #: by job: time and number of the first step that was heard, time of the last
        self._steps: dict[str, tuple[float, int, float]] = {}
        self._asked: dict[str, float] = {}
        self._running = ""

    def heard(self, event: Event) -> None:
        if not event.job:
            return
        with self._lock:
            before = self._jobs.get(event.job) or Progress(event.job)
            self._jobs[event.job] = self._after(before, event)
            self._jobs.move_to_end(event.job)
            while len(self._jobs) > _KEPT:
                old, _ = self._jobs.popitem(last=False)
                self._steps.pop(old, None)
                self._asked.pop(old, None)

    def get(self, job: str, watching: bool = False) -> Progress | None:
        """`watching` says that the asker wants previews: they are made for who polls, for ten seconds each time."""
        with self._lock:
            progress = self._jobs.get(job)
            if watching and progress is not None:
                self._asked[job] = self._clock()
        return None if progress is None else self._timed(progress)

    def running(self, watching: bool = False) -> Progress | None:
        """The running job's, or None when nothing runs."""
        job = self._running
        return self.get(job, watching) if job else None

    def asked(self, job: str) -> bool:
        """True when somebody asked for this job's preview in the last seconds."""
        with self._lock:
            return self._clock() - self._asked.get(job, 0.0) < _ASKED_FOR

    def ended(self) -> list[str]:
        """The ids of jobs that ended, the oldest first."""
        with self._lock:
            return [p.job for p in self._jobs.values() if p.final]

    def _after(self, p: Progress, event: Event) -> Progress:
        if isinstance(event, StepDone):
            fraction = min(ALMOST, event.step / event.steps) if event.steps > 0 else p.fraction
            first = self._steps.get(event.job, (event.time, event.step, 0.0))
            self._steps[event.job] = (first[0], first[1], event.time)
            return replace(
                p, step=event.step, steps=event.steps, pass_index=event.pass_index, passes=event.passes,
                fraction=max(p.fraction, fraction),
            )  # fmt: skip
        if isinstance(event, PreviewReady):
            return replace(p, preview=event.data, preview_media=event.media, preview_id=p.preview_id + 1)
        if isinstance(event, StageChanged):
            return replace(p, stage=event.stage)
        if isinstance(event, PictureReady):
            return replace(p, pictures=p.pictures + 1)
        if isinstance(event, Notice):
            return replace(p, notice=event.message)
        if isinstance(event, JobQueued):
            return p if p.active else replace(p, state="queued")
        if isinstance(event, JobStarted):
            self._running = event.job
            self._steps.pop(event.job, None)
            return Progress(event.job, state="running", started=event.time, preview_id=p.preview_id)
        if isinstance(event, (JobFinished, JobFailed)):
            return self._final(p, event)
        return p

    def _final(self, p: Progress, event: JobFinished | JobFailed) -> Progress:
        if self._running == event.job:
            self._running = ""
        self._steps.pop(event.job, None)
        failed = isinstance(event, JobFailed)
        return replace(
            p, state="failed" if failed else event.state, fraction=1.0, seconds_left=0.0, ended=event.time, preview="",
            stage="", error=str(event.error.get("message", "")) if failed else "",
            elapsed=event.time - p.started if p.started else 0.0,
        )  # fmt: skip

    def _timed(self, p: Progress) -> Progress:
        if not p.active:
            return p
        now = self._clock()
        first, begun, last = self._steps.get(p.job, (now, p.step, now))
        left = None
        if p.step > begun:
            # The first step is left out: it carries what is done once, such as choosing kernels.
            each = (last - first) / (p.step - begun)
            left = max(0.0, each * (p.steps - p.step) - (now - last))
        return replace(p, elapsed=max(0.0, now - p.started), seconds_left=left)
