"""`modules.call_queue`: the lock that A1111 extensions take before they use the device."""

from __future__ import annotations

import functools
import html
import time
from collections.abc import Callable
from typing import Any

from atelier.base.errors import Interrupted
from modules._host.attach import host


class QueueLock:
    """The device's lease under the names of a lock. May be taken again by the thread that holds it."""

    def __init__(self) -> None:
        self._held: list[Any] = []

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        lease = host().lease()
        lease.__enter__()
        self._held.append(lease)
        return True

    def release(self) -> None:
        self._held.pop().__exit__(None, None, None)

    def __enter__(self) -> QueueLock:
        self.acquire()
        return self

    def __exit__(self, *exc: Any) -> None:
        self.release()


queue_lock = QueueLock()


def wrap_queued_call(func: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(func)
    def queued(*args: Any, **kwargs: Any) -> Any:
        with queue_lock:
            return func(*args, **kwargs)

    return queued


def wrap_gradio_gpu_call(func: Callable[..., Any], extra_outputs: list[Any] | None = None) -> Callable[..., Any]:
    """Takes the device, begins `shared.state`, and answers a failure with `extra_outputs` and a sentence."""

    def on_device(*args: Any, **kwargs: Any) -> Any:
        with queue_lock:
            state = host().state
            state.begin(job=args[0] if args and isinstance(args[0], str) and args[0].startswith("task(") else "")
            try:
                return func(*args, **kwargs)
            finally:
                state.end()

    return wrap_gradio_call(on_device, extra_outputs=extra_outputs, add_stats=True)


def wrap_gradio_call(
    func: Callable[..., Any], extra_outputs: list[Any] | None = None, add_stats: bool = False
) -> Callable[..., Any]:
    @functools.wraps(func)
    def answered(*args: Any, extra_outputs_array: Any = extra_outputs, **kwargs: Any) -> tuple[Any, ...]:
        began = time.perf_counter()
        home = host()
        failed = object()
        result = home.guard.call(
            home.loader.owner(_file_of(func)), "event", _stoppable(func, args, kwargs), default=failed
        )
        if result is failed:
            outputs = extra_outputs_array if extra_outputs_array is not None else [None, ""]
            reason = home.guard.failures[-1].message if home.guard.failures else "switched off"
            return (*outputs, f"<div class='error'>{html.escape(reason)}</div>")
        if not add_stats:
            return tuple(result)
        seconds = time.perf_counter() - began
        stats = f"<div class='performance'><p class='time'>Time taken: <wbr>{seconds:.1f} sec.</p></div>"
        return (*result[:-1], f"{result[-1]}{stats}")

    return answered


wrap_gradio_call_no_job = wrap_gradio_call


def _file_of(func: Callable[..., Any]) -> str | None:
    code = getattr(getattr(func, "__wrapped__", func), "__code__", None)
    return code.co_filename if code is not None else None


def _stoppable(func: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> Callable[[], Any]:
    def call() -> Any:
        try:
            return list(func(*args, **kwargs))
        except Interrupted as stop:
            raise RuntimeError(f"stopped ({stop.mode})") from stop

    return call
