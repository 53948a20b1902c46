"""What the launcher says: plain lines, steps, and a sign of life during long ones."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


class Console:
    """Writes to one stream and flushes every line, so that a process that replaces this one loses nothing."""

    def __init__(self, stream: TextIO | None = None, heartbeat: float = 20.0) -> None:
        self.stream = stream or sys.stdout
        self.heartbeat = heartbeat  # seconds of silence after which a running step says that it still runs
        self._last = time.monotonic()

    @property
    def interactive(self) -> bool:
        return self.stream.isatty()

    def say(self, text: str = "") -> None:
        self._last = time.monotonic()
        self.stream.write(text + "\n")
        self.stream.flush()

    def detail(self, text: str) -> None:
        self.say(f"      {text}")

    @contextmanager
    def step(self, number: int, count: int, title: str) -> Iterator[None]:
        """Frames a step: its title, signs of life, and how long it took when it succeeded."""
        self.say(f"[{number}/{count}] {title}")
        start, ended = time.monotonic(), threading.Event()
        thread = threading.Thread(target=self._beat, args=(start, ended), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
        self.detail(f"done in {time.monotonic() - start:.1f} s")

    def _beat(self, start: float, ended: threading.Event) -> None:
        while not ended.wait(min(1.0, self.heartbeat)):
            if time.monotonic() - self._last > self.heartbeat:
                self.detail(f"still working, {time.monotonic() - start:.0f} s so far")
