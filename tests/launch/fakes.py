"""Recorded machines and programs for the launcher's tests."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from atelier.launch.arguments import parse, paths_from
from atelier.launch.console import Console
from atelier.launch.environment import Environment
from atelier.launch.process import Ended
from atelier.launch.steps import Setup

PROOF = '{"device": "cpu", "name": "CPU", "torch": "2.13.0+cpu", "milliseconds": 1.5, "threads": 2, "error": ""}'


class FakeProbe:
    """A machine as a few recorded answers; everything else is not there."""

    def __init__(
        self,
        system: str = "Linux",
        machine: str = "x86_64",
        runs: Mapping[str, str] | None = None,
        files: Mapping[str, str] | None = None,
        online: bool = True,
    ) -> None:
        self.system, self.machine, self.online = system, machine, online
        self.runs, self.files = dict(runs or {}), dict(files or {})

    def run(self, command: Sequence[str], seconds: float = 15.0) -> str | None:
        text = " ".join(command)
        return next((answer for start, answer in self.runs.items() if text.startswith(start)), None)

    def read(self, path: str) -> str | None:
        return self.files.get(path)

    def exists(self, path: str) -> bool:
        return path in self.files

    def glob(self, pattern: str) -> list[str]:
        head, tail = pattern.split("*")
        return sorted(path for path in self.files if path.startswith(head) and path.endswith(tail))

    def reachable(self, url: str, seconds: float = 8.0) -> bool:
        return self.online


class FakeRunner:
    """Records commands; makes a venv look made and packages look installed."""

    def __init__(self, console: Console, answer: Callable[[list[str]], Ended | None] | None = None) -> None:
        self.console = console
        self.commands: list[list[str]] = []
        self.environments: list[dict[str, str]] = []
        self.answer = answer or (lambda command: None)

    def stream(self, command: Sequence[str], environment: Mapping[str, str], **_: object) -> Ended:
        words = list(command)
        self.commands.append(words)
        self.environments.append(dict(environment))
        given = self.answer(words)
        if given is not None:
            return given
        if "venv" in words:
            make_venv(Path(words[-1]))
        return Ended(0, "")

    def capture(self, command: Sequence[str], environment: Mapping[str, str], seconds: float = 300.0) -> Ended:
        self.commands.append(list(command))
        return self.answer(list(command)) or Ended(0, PROOF)

    def installs(self) -> list[str]:
        return [" ".join(command) for command in self.commands if "install" in command]


def make_venv(folder: Path, python: str = "3.11.7") -> None:
    (folder / "bin").mkdir(parents=True, exist_ok=True)
    (folder / "Scripts").mkdir(exist_ok=True)
    for name in ("bin/python", "Scripts/python.exe"):
        (folder / name).touch()
    (folder / "pyvenv.cfg").write_text(f"home = /usr/bin\nversion = {python}\n")
    put_package(folder, "pip", "23.2.1")


def put_package(folder: Path, name: str, version: str) -> None:
    for site in (folder / "lib" / "python3.11" / "site-packages", folder / "Lib" / "site-packages"):
        site.mkdir(parents=True, exist_ok=True)
        for old in site.glob(f"{name}-*.dist-info"):
            old.rmdir()
        (site / f"{name}-{version}.dist-info").mkdir()


def setup_in(
    folder: Path,
    *words: str,
    probe: FakeProbe | None = None,
    answer: Callable[[list[str]], Ended | None] | None = None,
    environ: Mapping[str, str] | None = None,
    testing: bool = False,
) -> Setup:
    """A set-up in an empty folder on a fake machine."""
    data = folder / "data"
    data.mkdir(exist_ok=True)
    environ = dict(environ or {})
    args = parse(["--venv-dir", str(folder / "venv"), "--data-dir", str(data), *words], environ=environ)
    console = Console(io.StringIO(), heartbeat=1000)
    environment = Environment(args, paths_from(args), environ)
    return Setup(environment, console, FakeRunner(console, answer), probe or FakeProbe(), list(words), testing=testing)  # type: ignore[arg-type]


def said(setup: Setup) -> str:
    return setup.console.stream.getvalue()  # type: ignore[attr-defined]
