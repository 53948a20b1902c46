"""Typed events and the bus that carries them from the worker to every listener."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True)
class Event:
    """`job` is the job's id, or empty for events of the program; `seq` counts from 1 within a job (set by the bus)."""

    job: str = ""
    seq: int = 0
    time: float = 0.0

    #: a slow listener may lose it
    droppable = False

    @property
    def kind(self) -> str:
        return type(self).__name__

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, **asdict(self)}


@dataclass(frozen=True)
class JobQueued(Event):
    position: int = 0


@dataclass(frozen=True)
class JobStarted(Event):
    pass


@dataclass(frozen=True)
class StageChanged(Event):
    """What the worker is doing now, in words for people: "loading model", "decoding"."""

    stage: str = ""


@dataclass(frozen=True)
class StepDone(Event):
    """`step` of `steps` model evaluations over the whole job; it is in its walk `pass_index` (from 0) of `passes`."""

    droppable = True
    step: int = 0
    steps: int = 0
    pass_index: int = 0
    passes: int = 1


@dataclass(frozen=True)
class PreviewReady(Event):
    """A small picture of the unfinished latents, base64 of an encoded image."""

    droppable = True
    data: str = ""
    media: str = "image/jpeg"
    index: int = 0


@dataclass(frozen=True)
class PictureReady(Event):
    """One finished picture. `path` is empty when it was not saved; `sha256` names its bytes in the blob store.

    `role` is "picture", "grid", "mask", "composite" or an extension's word.
    """

    index: int = 0
    sha256: str = ""
    path: str = ""
    infotext: str = ""
    seed: int = -1
    width: int = 0
    height: int = 0
    role: str = "picture"


@dataclass(frozen=True)
class Notice(Event):
    """Something a person should know and that did not stop the job. `level` is info or warning."""

    message: str = ""
    level: str = "warning"
    source: str = ""


@dataclass(frozen=True)
class JobFinished(Event):
    """`state` is done, stopped or cancelled."""

    state: str = "done"
    seconds: float = 0.0
    pictures: int = 0


@dataclass(frozen=True)
class JobFailed(Event):
    error: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class EngineChanged(Event):
    """`state` is starting, ready, failed or lost; `message` says why."""

    state: str = "starting"
    message: str = ""


@dataclass(frozen=True)
class ModelLoaded(Event):
    title: str = ""


@dataclass(frozen=True)
class SettingsChanged(Event):
    keys: tuple[str, ...] = ()


EVENTS = MappingProxyType({
    cls.__name__: cls
    for cls in (
        JobQueued, JobStarted, StageChanged, StepDone, PreviewReady, PictureReady, Notice,
        JobFinished, JobFailed, EngineChanged, ModelLoaded, SettingsChanged,
    )
})  # fmt: skip
FINAL = ("JobFinished", "JobFailed")


def event_from_json(data: dict[str, Any]) -> Event:
    values = dict(data)
    return EVENTS[values.pop("kind")](**values)


class Subscription:
    """One listener's bounded queue. When full, droppable events are lost first; the others never are.

    `wake` is called on the publisher's thread after each event: it lets an event loop wait without a thread.
    """

    def __init__(self, bus: EventBus, job: str | None, limit: int, wake: Callable[[], Any] | None = None) -> None:
        self._bus = bus
        self.job = job
        self._limit = limit
        self._wake = wake
        self._events: deque[Event] = deque()
        self._ready = threading.Condition()
        self._closed = False

    def offer(self, event: Event) -> None:
        with self._ready:
            if len(self._events) >= self._limit:
                if event.droppable:
                    return
                self._events = deque(e for e in self._events if not e.droppable)
            self._events.append(event)
            self._ready.notify()
        if self._wake is not None:
            self._wake()

    def get(self, timeout: float | None = None) -> Event | None:
        """The next event, or None after `timeout` seconds or when closed."""
        with self._ready:
            if not self._events and not self._closed:
                self._ready.wait(timeout)
            return self._events.popleft() if self._events else None

    def __iter__(self) -> Iterator[Event]:
        while not self._closed:
            event = self.get(timeout=1.0)
            if event is not None:
                yield event

    def close(self) -> None:
        self._bus.unsubscribe(self)
        with self._ready:
            self._closed = True
            self._ready.notify_all()

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class EventBus:
    """Numbers the events of each job and hands every event to all listeners at once, in one order."""

    def __init__(self, record: Callable[[Event], None] | None = None) -> None:
        self._record = record
        self._lock = threading.RLock()
        self._subscriptions: list[Subscription] = []
        self._listeners: list[Callable[[Event], None]] = []
        self._last: dict[str, int] = {}

    def publish(self, event: Event) -> Event:
        """Returns the event as sent: with its number and time."""
        with self._lock:
            seq = 0
            if event.job:
                seq = self._last.get(event.job, 0) + 1
                self._last[event.job] = seq
            sent = type(event)(**{**_fields(event), "seq": seq, "time": time.time()})
            # Recorded before it is heard: whoever hears of a picture can also ask for it again later.
            if self._record is not None and not sent.droppable:
                self._record(sent)
            for subscription in self._subscriptions:
                if subscription.job is None or subscription.job == sent.job:
                    subscription.offer(sent)
            for listener in self._listeners:
                listener(sent)
            if sent.kind in FINAL:
                self._last.pop(sent.job, None)
            return sent

    def resume(self, job: str, last_seq: int) -> None:
        """Continue the numbering of a job that an earlier process began."""
        with self._lock:
            self._last[job] = max(last_seq, self._last.get(job, 0))

    def listen(self, listener: Callable[[Event], None]) -> None:
        """For parts of the program that keep a state: called for every event on the publisher's thread, before
        `publish` returns. It must be quick and must not raise. A listener does not count as somebody watching."""
        with self._lock:
            self._listeners.append(listener)

    def subscribe(
        self, job: str | None = None, limit: int = 256, wake: Callable[[], Any] | None = None
    ) -> Subscription:
        with self._lock:
            subscription = Subscription(self, job, limit, wake)
            self._subscriptions.append(subscription)
            return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        with self._lock:
            if subscription in self._subscriptions:
                self._subscriptions.remove(subscription)

    def watched(self, job: str) -> bool:
        """True when someone listens to this job, so that making a preview is worth its cost."""
        with self._lock:
            return any(s.job in (None, job) for s in self._subscriptions)


def _fields(event: Event) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.__dataclass_fields__}
