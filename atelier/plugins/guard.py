"""Guard: an extension's failure stays its own."""

from __future__ import annotations

import functools
import threading
import traceback
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from typing import Any

from atelier.base.errors import BadRequest, Interrupted, OutOfMemory
from atelier.base.log import fields, logger

log = logger(__name__)

#: Not failures of the extension: a person's wish, the device's limit, a value that a person gave.
PASSING = (Interrupted, OutOfMemory, BadRequest)
KEPT = 200


@dataclass(frozen=True)
class Failure:
    """One exception of an extension. `count` is its number in this session; `off` says that it was the last one."""

    extension: str
    moment: str
    message: str
    trace: str
    count: int
    off: bool = False

    @property
    def sentence(self) -> str:
        end = " The extension is switched off until the next start." if self.off else ""
        return f"{self.extension} failed at {self.moment}: {self.message}{end}"


class Guard:
    """Calls extension code. A failure is logged, kept, reported and counted; too many switch the extension off.

    `limit` is asked at each failure how many a session allows. `report` is told of failures that belong to no run;
    those inside a run become a comment of that run. `find_run` names the run that the calling thread is in, for
    callers whose arguments do not lead to it.
    """

    def __init__(self, limit: Callable[[], int] = lambda: 3, report: Callable[[Failure], Any] | None = None) -> None:
        self.limit = limit
        self.report = report
        self.find_run: Callable[[], Any] = lambda: None
        self._kept: deque[Failure] = deque(maxlen=KEPT)
        self._counts: Counter[str] = Counter()
        self._off: set[str] = set()
        self._lock = threading.Lock()

    @property
    def failures(self) -> tuple[Failure, ...]:
        return tuple(self._kept)

    def is_off(self, extension: str) -> bool:
        return extension in self._off

    def switch_on(self, extension: str) -> None:
        """Forgets the failures of an extension."""
        with self._lock:
            self._off.discard(extension)
            self._counts.pop(extension, None)

    def call(
        self, extension: str, moment: str, function: Callable[..., Any], *args: Any, default: Any = None, **kwargs: Any
    ) -> Any:
        """The function's value; `default` when it failed or its extension is off. Carriers are put back on failure."""
        if extension in self._off:
            return default
        before = [_remembered(value) for value in (*args, *kwargs.values()) if _is_carrier(value)]
        try:
            return function(*args, **kwargs)
        except PASSING:
            raise
        except Exception as error:
            if is_out_of_memory(error):
                raise
            for restore in before:
                restore()
            run = _run_of(*args, *kwargs.values()) or self.find_run()
            if _stopping(run):
                # Code that was cut short by a person's stop finds less than it expects; that is not held against it.
                log.info("extension ended with the run: %s", fields(extension=extension, error=str(error)))
                return default
            self.failed(extension, moment, error, run)
            return default

    def wrap(self, extension: str, moment: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            return self.call(extension, moment, function, *args, **kwargs)

        return guarded

    def failed(self, extension: str, moment: str, error: BaseException, run: Any = None) -> Failure:
        """Counts a failure that was caught elsewhere."""
        with self._lock:
            self._counts[extension] += 1
            count = self._counts[extension]
            off = count >= self.limit()
            if off:
                self._off.add(extension)
        message = f"{type(error).__name__}: {error}"
        failure = Failure(extension, moment, message, "".join(traceback.format_exception(error)), count, off)
        self._kept.append(failure)
        log.error("extension failed: %s\n%s", fields(extension=extension, moment=moment, count=count), failure.trace)
        if run is not None:
            run.comment(failure.sentence, extension)
        elif self.report is not None:
            self.report(failure)
        return failure


def is_out_of_memory(error: BaseException) -> bool:
    # torch's own class cannot be imported here: the server side has no torch.
    return type(error).__name__ == "OutOfMemoryError"


def _is_carrier(value: Any) -> bool:
    """Carriers are the mutable dataclasses that the core hands to hooks."""
    return is_dataclass(value) and not isinstance(value, type) and not value.__dataclass_params__.frozen


def _remembered(carrier: Any) -> Callable[[], None]:
    state = {name: list(value) if isinstance(value, list) else value for name, value in vars(carrier).items()}
    lists = {name: value for name, value in vars(carrier).items() if isinstance(value, list)}

    def restore() -> None:
        for name, value in state.items():
            if name in lists:
                lists[name][:] = value
                value = lists[name]
            setattr(carrier, name, value)

    return restore


def _stopping(run: Any) -> bool:
    return getattr(getattr(run, "token", None), "mode", None) in ("stop", "cancel")


def _run_of(*values: Any) -> Any:
    """The run that a carrier belongs to, whatever carrier it is."""
    for value in values:
        for path in ((), ("run",), ("batch", "run")):
            found = value
            for name in path:
                found = getattr(found, name, None)
            if callable(getattr(found, "comment", None)) and hasattr(found, "publish"):
                return found
    return None
