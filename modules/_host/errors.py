"""`modules.errors`: extensions report their failures here."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import Any

from atelier.base.log import fields, logger
from modules._host.attach import current

log = logger("modules.errors")


def report(message: str, *, exc_info: bool = False) -> None:
    if exc_info:
        log.error("%s\n%s", message.rstrip(), traceback.format_exc())
    else:
        log.error("%s", message.rstrip())


def display(e: BaseException, task: str, *, full_traceback: bool = False) -> None:
    log.error(
        "%s\n%s", fields(task=task or "error", error=f"{type(e).__name__}: {e}"), "".join(traceback.format_exception(e))
    )


def display_once(e: BaseException, task: str) -> None:
    display(e, task)


def print_error_explanation(message: str) -> None:
    log.error("%s", message.strip())


def run(code: Callable[[], Any], task: str) -> None:
    """Calls a function; what it raises is reported and goes no further."""
    host = current()
    if host is None:
        code()
    else:
        host.guard.call(host.loader.caller()[0], task, code)


def record_exception() -> None:
    error = sys.exc_info()[1]
    if error is not None:
        log.error("%s", "".join(traceback.format_exception(error)))


def get_exceptions() -> list[dict[str, Any]]:
    host = current()
    if host is None:
        return []
    return [{"exception": f.message, "traceback": f.trace.splitlines()} for f in host.guard.failures]
