"""The one way in which the launcher looks at the machine, so that tests can look at a recorded one."""

from __future__ import annotations

import glob
import os
import platform
import subprocess
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path


class Probe:
    """Runs short commands and reads small files; what is not there is None, never an error."""

    system = platform.system()
    machine = platform.machine().lower()

    def run(self, command: Sequence[str], seconds: float = 15.0) -> str | None:
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=seconds)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout if done.returncode == 0 else None

    def read(self, path: str) -> str | None:
        try:
            return Path(path).read_text("utf-8", "replace")
        except OSError:
            return None

    def exists(self, path: str) -> bool:
        return os.path.exists(path)

    def glob(self, pattern: str) -> list[str]:
        return sorted(glob.glob(pattern))

    def reachable(self, url: str, seconds: float = 8.0) -> bool:
        """Whether a page answers; proxies of the environment are honoured."""
        try:
            request = urllib.request.Request(url, method="HEAD")
            with urllib.request.urlopen(request, timeout=seconds) as answer:
                return answer.status < 400
        except (urllib.error.URLError, OSError, ValueError):
            return False
