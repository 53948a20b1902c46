"""CancelToken: how a person's wish to stop, skip or cancel reaches a running job."""

from __future__ import annotations

import threading

from atelier.base.errors import Interrupted

MODES = ("skip", "stop", "cancel")


class CancelToken:
    """Flags set by the server and read by the worker between steps.

    `skip` ends the current picture batch, `stop` ends the job and keeps what is done,
    `cancel` ends the job and discards what is unfinished. `finish` ends the job after the current batch.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._mode: str | None = None
        self._finish = False

    def request(self, mode: str) -> None:
        """`mode` is skip, stop, cancel or finish. A stronger wish is never weakened by a later one."""
        with self._lock:
            if mode == "finish":
                self._finish = True
                return
            if mode not in MODES:
                raise ValueError(f"unknown cancel mode {mode!r}")
            if self._mode is None or MODES.index(mode) > MODES.index(self._mode):
                self._mode = mode

    @property
    def mode(self) -> str | None:
        return self._mode

    @property
    def ending(self) -> bool:
        """True when no further batch should be begun."""
        return self._finish or self._mode in ("stop", "cancel")

    def clear_skip(self) -> None:
        """Called at the start of each batch, so that one skip ends one batch."""
        with self._lock:
            if self._mode == "skip":
                self._mode = None

    def check(self) -> None:
        """Raises `Interrupted` when the running batch should end now."""
        if self._mode is not None:
            raise Interrupted(self._mode)
