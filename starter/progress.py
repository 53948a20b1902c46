"""Progress of a long stage: lines on the screen and in a log, and the pause that other work may ask for."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PAUSE_FILE = Path(tempfile.gettempdir()) / "pause-training"
"""While this file exists, every stage sleeps between two steps."""


class Progress:
    """Writes `what key=value` lines; the log file is appended to, so that a resumed stage keeps its history."""

    def __init__(self, log: Path, pause: Path = PAUSE_FILE) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = log
        self._pause = pause
        self._last = 0.0
        self.start = time.monotonic()

    def say(self, what: str, **values: Any) -> None:
        fields = " ".join(
            f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in values.items()
        )
        line = f"{time.strftime('%H:%M:%S')} {what} {fields}".rstrip()
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
        with self._log.open("a") as file:
            file.write(line + "\n")

    def every(self, seconds: float, what: str, **values: Any) -> bool:
        """Says it when `seconds` have passed since the last such line; True when it did."""
        if time.monotonic() - self._last < seconds:
            return False
        self._last = time.monotonic()
        self.say(what, **values)
        return True

    def wait_while_paused(self) -> float:
        """Sleeps while the pause file exists; returns the seconds slept, so that time boxes can leave them out."""
        begun = time.monotonic()
        while self._pause.exists():
            time.sleep(1)
        return time.monotonic() - begun
