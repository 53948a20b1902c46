"""Endings: who is to be told when a job has ended."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from atelier.base.events import FINAL, EngineChanged, Event, JobQueued

_REMEMBERED = 256


class Endings:
    """Made to be a listener of the event bus: waiting for a job needs no thread and no subscription.

    Calls come on the publisher's thread and must be quick. They come as well when the engine fails, since jobs that
    wait for it will not end in this process.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: dict[str, list[Callable[[], None]]] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()

    def heard(self, event: Event) -> None:
        if isinstance(event, JobQueued):
            # An id may be used again when its job has ended.
            with self._lock:
                self._ended.pop(event.job, None)
            return
        if event.kind in FINAL:
            with self._lock:
                calls = list(self._calls.get(event.job, ()))
                self._ended[event.job] = None
                while len(self._ended) > _REMEMBERED:
                    self._ended.popitem(last=False)
        elif isinstance(event, EngineChanged) and event.state in ("failed", "lost", "closed"):
            with self._lock:
                calls = [call for waiting in self._calls.values() for call in waiting]
        else:
            return
        for call in calls:
            call()

    @contextmanager
    def telling(self, job: str, call: Callable[[], None]) -> Iterator[bool]:
        """`call` is called when the job ends while the context is open. Gives True when that was told already.

        Jobs of long ago are not remembered: the executor knows of them.
        """
        with self._lock:
            self._calls.setdefault(job, []).append(call)
            told = job in self._ended
        try:
            yield told
        finally:
            with self._lock:
                self._calls[job].remove(call)
                if not self._calls[job]:
                    del self._calls[job]
