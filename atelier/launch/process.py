"""Running another program: its lines shown, its last ones kept for the case that it fails."""

from __future__ import annotations

import os
import re
import subprocess
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from atelier.launch.console import Console

NOISE = re.compile(
    r"^(WARNING: (Location|The directory|Running pip as)|Requirement already satisfied|Looking in |"
    r"\s+(Using cached|Preparing metadata|Getting requirements|Installing build|Created temporary|Attempting uninst|"
    r"Found existing|Uninstalling|Successfully uninst)|\s+Downloading .*(\.metadata|kB\))|Ignoring |Processing |"
    r"\[notice\]|\s*$)"
)


@dataclass(frozen=True)
class Ended:
    """How a program ended: its exit status and its last lines."""

    status: int
    tail: str


class Runner:
    """Starts programs for the launcher; tests put a recorder in its place."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def stream(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        folder: Path | None = None,
        log: Path | None = None,
        show: bool = True,
    ) -> Ended:
        """Runs a command to its end, showing its telling lines and adding all of them to a log file."""
        lines: deque[str] = deque(maxlen=60)
        try:
            process = subprocess.Popen(
                list(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                text=True, errors="replace", env=dict(environment), cwd=folder, bufsize=1,
            )  # fmt: skip
        except OSError as error:
            return Ended(127, f"{command[0]}: {error.strerror or error}")
        kept = open(log, "a", encoding="utf-8", errors="replace") if log else open(os.devnull, "w", encoding="utf-8")
        with kept, process:
            kept.write(f"$ {' '.join(command)}\n")
            for line in process.stdout or ():
                line = line.rstrip()
                lines.append(line)
                kept.write(line + "\n")
                if show and not NOISE.match(line):
                    self.console.detail(line.split(" (from ")[0][:160])
        return Ended(process.returncode, "\n".join(lines))

    def capture(self, command: Sequence[str], environment: Mapping[str, str], seconds: float = 300.0) -> Ended:
        """Runs a command silently and hands back what it wrote to its standard output."""
        try:
            done = subprocess.run(
                list(command), capture_output=True, text=True, errors="replace", env=dict(environment), timeout=seconds
            )
        except subprocess.TimeoutExpired:
            return Ended(124, f"no answer within {seconds:.0f} s")
        except OSError as error:
            return Ended(127, f"{command[0]}: {error.strerror or error}")
        return Ended(done.returncode, done.stdout if done.returncode == 0 else done.stdout + done.stderr)
