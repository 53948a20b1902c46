"""From the command line to the running program: set up, then hand over to the environment's Python."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from atelier.base.errors import AtelierError, BadRequest, SetupFailed
from atelier.base.paths import PROGRAM
from atelier.launch import doctor, interpreter
from atelier.launch.arguments import parse, paths_from
from atelier.launch.browser import browser_tests, find_browser
from atelier.launch.console import Console
from atelier.launch.environment import Environment
from atelier.launch.prepare import prepare
from atelier.launch.probe import Probe
from atelier.launch.process import Runner
from atelier.launch.steps import Setup

#: processes of the tests; each may hold 2 GB
MOST_WORKERS = 4


def main(argv: Sequence[str] | None = None) -> int:
    """Does what the command line says and returns the exit status; serving and tests replace this process."""
    console = Console()
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _main(words, console, dict(os.environ))
    except BadRequest as error:
        console.say(f"launch.py: {error}")
        return 2
    except AtelierError as error:
        console.say(failure_text(error))
        return 1
    except KeyboardInterrupt:
        console.say("\nInterrupted. What is finished stays; start again to go on.")
        return 130


def failure_text(error: AtelierError) -> str:
    """What failed, why, and what to do; for a step of the set-up also how to run it alone."""
    lines = [error.message, error.remedy]
    if step := error.fields.get("step"):
        lines.insert(0, f"Set-up failed in the step {step!r}.")
        if step != "python":
            lines.append(f"To run this step alone: python launch.py prepare --step {step}")
    return "\n".join(line for line in lines if line)


def _main(words: list[str], console: Console, environ: dict[str, str]) -> int:
    args = parse(words, environ=environ)
    for notice in args.notices:
        console.say(notice)
    probe, runner = Probe(), Runner(console)
    environment = Environment(args, paths_from(args), environ)
    setup = Setup(environment, console, runner, probe, words, testing=args.command == "test")
    if args.dump_sysinfo:
        console.say(f"Written: {doctor.write_sysinfo(setup)}")
        return 0
    if args.command == "doctor":
        return doctor.report(setup)
    if not args.skip_prepare_environment:
        if not environment.intact or not interpreter.supported(environment.version):
            anything = args.skip_python_version_check
            setup = replace(setup, interpreter=interpreter.choose(probe, environ, sys.version_info[:2], anything))
        prepare(setup)
    if args.command == "prepare":
        return 0
    command, folder = handover(args.command, environment, words, args.rest)
    variables = {**environ, **environment.state.result("torch").get("environment", {})}
    if args.command == "test":
        command = _with_browser(command, console, environ, variables)
        # Several processes share the cores; small tensors are quicker on one thread anyway.
        variables.setdefault("OMP_NUM_THREADS", "1")
    if environment.option("offline"):
        variables["HF_HUB_OFFLINE"] = "1"
    return replace_process(command, variables, folder)


def handover(
    command: str | None, environment: Environment, words: Sequence[str], rest: Sequence[str]
) -> tuple[list[str], Path | None]:
    """The command line that follows the set-up, and its folder (None: the present one). Raises `SetupFailed`."""
    python = str(environment.python)
    if not environment.python.exists():
        raise SetupFailed(
            f"There is no environment in {environment.folder}.", remedy="Run: python launch.py prepare", step="venv"
        )
    if command == "test":
        workers = str(min(os.cpu_count() or 1, MOST_WORKERS))
        # A file's tests stay together, since they share what is costly to make.
        return [python, "-m", "pytest", "-q", "-n", workers, "--dist", "loadfile", *rest], PROGRAM
    if command == "bench":
        return [python, "-m", "bench", *rest], PROGRAM
    program = PROGRAM / "webui.py"
    if not program.exists():
        raise SetupFailed(f"{program} is missing.", remedy="Bring it back: git checkout webui.py")
    return [python, str(program), *words], None


def _with_browser(
    command: list[str], console: Console, environ: Mapping[str, str], variables: dict[str, str]
) -> list[str]:
    """pytest's command with the browser found handed on, or with the browser tests left out and named."""
    browser = find_browser(environ)
    if browser:
        variables["ATELIER_BROWSER"] = browser
        return command
    names = browser_tests(PROGRAM / "tests")
    console.say(
        "No Chromium or Chrome was found (ATELIER_BROWSER names one outside the search path). "
        f"{len(names)} browser tests are skipped:"
    )
    for name in names:
        console.detail(name)
    if "-m" in command[3:]:
        place = command.index("-m", 3) + 1
        return [*command[:place], f"({command[place]}) and not browser", *command[place + 1 :]]
    return [*command, "-m", "not browser"]


def replace_process(command: Sequence[str], variables: Mapping[str, str], folder: Path | None) -> int:
    """Runs the command in place of this process; where the system cannot do that, beside it, waiting for its end."""
    if folder is not None:
        os.chdir(folder)
    sys.stdout.flush()
    if os.name != "nt":
        os.execve(command[0], list(command), dict(variables))
    with subprocess.Popen(list(command), env=dict(variables)) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                # The child got the same Ctrl-C and ends in its own way; only its end is waited for.
                continue
