"""Once: one file of the benchmark run as a process of its own, whose last line of output is what it found."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from atelier.base.paths import PROGRAM


def once(file: str, *words: object) -> dict[str, Any]:
    """`python -m bench.<file> <words>`, with nothing in memory that another measure left. Raises `RuntimeError`."""
    command = [sys.executable, "-m", f"bench.{file}", *map(str, words)]
    done = subprocess.run(command, cwd=PROGRAM, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{file} failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])
