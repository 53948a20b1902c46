"""The steps of the set-up, in order: each is named, knows when it is done, and can be run alone."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from atelier.base.errors import SetupFailed
from atelier.launch import hardware, proof, torch_table
from atelier.launch.causes import explain
from atelier.launch.console import Console
from atelier.launch.environment import REQUIREMENTS, Environment
from atelier.launch.extensions import ExtensionInstallers
from atelier.launch.interpreter import supported
from atelier.launch.pins import Pin, pins_of, unmet
from atelier.launch.probe import Probe
from atelier.launch.process import Ended, Runner
from atelier.launch.state import fingerprint, fingerprint_of_files


@dataclass(frozen=True)
class Setup:
    """Everything that a step works with. `interpreter` is the Python that a new environment is made with."""

    environment: Environment
    console: Console
    runner: Runner
    probe: Probe
    words: list[str]
    interpreter: str = sys.executable
    testing: bool = False

    @property
    def args(self) -> Any:
        return self.environment.args

    @property
    def installers(self) -> ExtensionInstallers:
        return ExtensionInstallers(self.environment, self.runner, self.console, self.words)

    def install(self, step: str, *words: str) -> None:
        """Installs packages into the environment. Raises `SetupFailed` with cause and remedy."""
        uv = self.environment.uv()
        ended = self._install(uv, words)
        if ended.status and uv:
            self.console.detail("uv did not manage it; trying pip")
            ended = self._install("", words)
        if ended.status and self.environment.option("offline"):
            raise failed(step, "A package is missing, and the network may not be used (--offline).",
                         "Name a folder with the packages by --find-links, or leave out --offline.")  # fmt: skip
        if ended.status:
            raise failed(step, *explain(ended.tail, ended.status))

    def _install(self, uv: str, words: Sequence[str]) -> Ended:
        command = self.environment.install_command(*words, uv=uv)
        return self.runner.stream(command, self.environment.variables(), log=self.environment.log)


def failed(step: str, cause: str, remedy: str) -> SetupFailed:
    return SetupFailed(cause, remedy=remedy, step=step)


@dataclass(frozen=True)
class Step:
    """`wanted` is empty when the step does not apply; else it names the state that `run` brings about."""

    name: str
    title: str
    wanted: Callable[[Setup], str]
    holds: Callable[[Setup], bool]
    run: Callable[[Setup], dict[str, Any]]


# python and venv


def _venv_wanted(setup: Setup) -> str:
    return "" if setup.environment.folder is None else "venv"


def _venv_holds(setup: Setup) -> bool:
    version = setup.environment.version
    return setup.environment.intact and (supported(version) or setup.args.skip_python_version_check)


def _venv_run(setup: Setup) -> dict[str, Any]:
    environment = setup.environment
    folder = environment.folder
    assert folder is not None
    if folder.exists() and any(folder.iterdir()):
        if not (folder / "pyvenv.cfg").exists():
            raise failed("venv", f"{folder} holds something else than a Python environment.",
                         "Name another folder with --venv-dir.")  # fmt: skip
        why = "is incomplete" if supported(environment.version) else "was made with a Python that does not fit"
        setup.console.detail(f"the environment in {folder} {why}; it is made anew")
    environment.state.clear()
    command = [setup.interpreter, "-m", "venv", "--clear", str(folder)]
    ended = setup.runner.stream(command, environment.environ)
    if ended.status:
        raise failed("venv", *explain(ended.tail, ended.status))
    if not environment.intact:
        raise failed("venv", f"{folder} was made, but has no working Python or no pip.",
                     "On Debian and Ubuntu: sudo apt install python3-venv python3-pip. Then start again.")  # fmt: skip
    setup.console.detail(f"Python {'.'.join(map(str, environment.version or ()))} in {folder}")
    return {}


# torch


def _torch_wanted(setup: Setup) -> str:
    given = [setup.environment.environ.get("TORCH_COMMAND"), setup.environment.option("torch_index_url")]
    return fingerprint(fingerprint_of_files([REQUIREMENTS / "torch.txt"]), given, hardware.signature(setup.probe))


def _torch_holds(setup: Setup) -> bool:
    if setup.environment.environ.get("TORCH_COMMAND"):
        return "torch" in setup.environment.installed()
    return not unmet(_torch_pins(setup), setup.environment.installed())


def _torch_pins(setup: Setup) -> tuple[Pin, ...]:
    return pins_of([REQUIREMENTS / "torch.txt"], setup.environment.version or sys.version_info[:2])


def _torch_run(setup: Setup) -> dict[str, Any]:
    environment, console = setup.environment, setup.console
    machine = hardware.detect(setup.probe)
    choice = torch_table.choose(machine)
    result = {"kind": choice.kind, "why": choice.why, "tag": choice.tag, "environment": dict(choice.environment)}
    console.detail(f"found {machine.name}; {choice.why}")
    if choice.warning:
        console.detail(choice.warning)
    if command := environment.environ.get("TORCH_COMMAND"):
        words = shlex.split(command)
        ended = setup.runner.stream([str(environment.python), "-m", *words], environment.variables(),
                                    log=environment.log)  # fmt: skip
        if ended.status:
            raise failed("torch", *explain(ended.tail, ended.status))
        return {**result, "why": "TORCH_COMMAND says so"}
    _check_room(environment, choice)
    pin = f"torch=={_torch_pins(setup)[0].version}"
    installed = environment.installed().get("torch", "")
    other_build = bool(installed) and bool(choice.tag) and not installed.endswith(f"+{choice.tag}")
    index = _torch_index(setup, choice)
    extra = ["--extra-index-url", index] if index else []
    if installed and (setup.args.reinstall_torch or (other_build and index)):
        setup.install("torch", "--force-reinstall", "--no-deps", pin, *extra)
    setup.install("torch", pin, *extra)
    console.detail(f"torch {environment.installed().get('torch', '?')} is installed")
    return result


def _torch_index(setup: Setup, choice: torch_table.Choice) -> str:
    """The index with torch builds, or "" for the ordinary one, which is said aloud."""
    if given := setup.environment.option("torch_index_url"):
        return str(given)
    if not choice.index_url:
        return ""
    if setup.environment.option("offline"):
        setup.console.detail(f"offline: the index of {choice.tag} builds is not asked; what is at hand is used")
        return ""
    if setup.probe.reachable(f"{choice.index_url}/torch/"):
        return choice.index_url
    setup.console.detail(f"the index of {choice.tag} builds cannot be reached; the ordinary package index is used")
    return ""


def _check_room(environment: Environment, choice: torch_table.Choice) -> None:
    folder = environment.folder or environment.paths.data
    free = shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.exists())).free / 1e9
    if free < choice.gigabytes and "torch" not in environment.installed():
        raise failed("torch", f"{free:.1f} GB are free in {folder}, and this torch takes {choice.gigabytes:g} GB.",
                     "Free some room, or choose another disk with --venv-dir.")  # fmt: skip


# requirements


def _uv_run(setup: Setup) -> dict[str, Any]:
    setup.install("uv", "-r", str(REQUIREMENTS / "uv.txt"))
    return {}


def _files_wanted(*files: Path) -> str:
    return fingerprint_of_files([*files, REQUIREMENTS / "constraints.txt"])


def _pins_hold(setup: Setup, files: tuple[Path, ...]) -> bool:
    if setup.environment.environ.get("REQS_FILE"):
        # A list of the user's own need not consist of pins; its fingerprint decides alone.
        return True
    pins = pins_of(files, setup.environment.version or sys.version_info[:2])
    return not unmet(pins, setup.environment.installed())


def _requirements_run(setup: Setup) -> dict[str, Any]:
    words = [word for file in setup.environment.requirement_files() for word in ("-r", str(file))]
    # torch stays as the step before it chose it, whatever the others ask for.
    torch = setup.environment.installed().get("torch")
    setup.install("requirements", *words, *([f"torch=={torch}"] if torch else []))
    return {}


def _extras_run(setup: Setup) -> dict[str, Any]:
    setup.install("test-extras", "-r", str(REQUIREMENTS / "test.txt"))
    return {}


def _xformers_wanted(setup: Setup) -> str:
    asked = setup.args.xformers or setup.args.force_enable_xformers or setup.args.reinstall_xformers
    kind = setup.environment.state.result("torch").get("kind")
    return fingerprint(_torch_wanted(setup), _xformers_package(setup)) if asked and kind in ("cuda", "rocm") else ""


def _xformers_package(setup: Setup) -> str:
    return setup.environment.environ.get("XFORMERS_PACKAGE", "xformers")


def _xformers_run(setup: Setup) -> dict[str, Any]:
    words = ["--force-reinstall", "--no-deps"] if setup.args.reinstall_xformers else []
    torch = setup.environment.installed().get("torch", "")
    command = setup.environment.pip("install", *words, *shlex.split(_xformers_package(setup)), f"torch=={torch}")
    ended = setup.runner.stream(command, setup.environment.variables(), log=setup.environment.log)
    if ended.status:
        setup.console.detail(f"no xformers build fits torch {torch}; torch's own attention is used")
    return {"installed": ended.status == 0}


# architectures


def _architectures_run(setup: Setup) -> dict[str, Any]:
    # Without what it asks for: it names torchvision, which the program makes unnecessary.
    command = setup.environment.pip("install", "--no-deps", "-r", str(REQUIREMENTS / "spandrel.txt"))
    ended = setup.runner.stream(command, setup.environment.variables(), log=setup.environment.log)
    if ended.status:
        setup.console.detail("spandrel is not installed; upscalers of the kinds ESRGAN and Compact work without it")
    return {"installed": ended.status == 0}


def _architectures_hold(setup: Setup) -> bool:
    tried = setup.environment.state.result("architectures")
    return not tried.get("installed") or _pins_hold(setup, (REQUIREMENTS / "spandrel.txt",))


# device


def _device_wanted(setup: Setup) -> str:
    if setup.args.skip_torch_cuda_test:
        return ""
    torch = setup.environment.installed().get("torch", "")
    return fingerprint(torch, setup.environment.identity, hardware.signature(setup.probe))


def _device_run(setup: Setup) -> dict[str, Any]:
    choice = torch_table.choose(hardware.detect(setup.probe))
    if why := setup.environment.state.result("torch").get("why"):
        choice = replace(choice, why=why)
    variables = {**setup.environment.variables(), **dict(choice.environment)}
    ended = setup.runner.capture([str(setup.environment.python), "-c", proof.PROGRAM, choice.kind], variables)
    try:
        shown = proof.read(ended.tail)
    except (ValueError, KeyError) as error:
        last = (ended.tail.strip().splitlines() or ["no output"])[-1]
        raise failed("device", f"torch does not start: {last}",
                     "Run: python launch.py prepare --step torch --reinstall-torch") from error  # fmt: skip
    line = proof.sentence(shown, choice)
    setup.console.detail(line)
    return {"line": line, "device": shown.device, "error": shown.error}


def _device_holds(setup: Setup) -> bool:
    # A device that failed is tried at every start until it works: the cure may be one that no file shows.
    return not setup.environment.state.result("device").get("error")


# extensions


def _extensions_run(setup: Setup) -> dict[str, Any]:
    if setup.args.update_all_extensions:
        setup.installers.update()
    failures = [folder.name for folder in setup.installers.pending() if not setup.installers.run(folder)]
    return {"failed": failures}


def _extensions_hold(setup: Setup) -> bool:
    return not setup.args.update_all_extensions and not setup.installers.pending()


def _always(setup: Setup) -> bool:
    return True


STEPS: tuple[Step, ...] = (
    Step("venv", "making the Python environment", _venv_wanted, _venv_holds, _venv_run),
    Step("uv", "fetching uv", lambda s: "uv" if s.environment.option("use_uv") else "",
         lambda s: bool(s.environment.uv()), _uv_run),
    Step("torch", "choosing and installing torch", _torch_wanted, _torch_holds, _torch_run),
    Step("requirements", "installing the pinned requirements",
         lambda s: _files_wanted(*s.environment.requirement_files()),
         lambda s: _pins_hold(s, s.environment.requirement_files()), _requirements_run),
    Step("architectures", "installing the architectures of upscalers",
         lambda s: _files_wanted(REQUIREMENTS / "spandrel.txt"), _architectures_hold, _architectures_run),
    Step("xformers", "looking for xformers", _xformers_wanted, _always, _xformers_run),
    Step("test-extras", "installing what the tests need",
         lambda s: _files_wanted(REQUIREMENTS / "test.txt") if s.testing else "",
         lambda s: _pins_hold(s, (REQUIREMENTS / "test.txt",)), _extras_run),
    Step("device", "trying the device with a small kernel", _device_wanted, _device_holds, _device_run),
    Step("extensions", "installing what extensions need", lambda s: "extensions", _extensions_hold, _extensions_run),
)  # fmt: skip
