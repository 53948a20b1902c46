"""Extensions as the launcher sees them: which are enabled, and running their `install.py`."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from atelier.base.paths import PROGRAM
from atelier.launch.console import Console
from atelier.launch.environment import Environment
from atelier.launch.process import Runner
from atelier.launch.state import fingerprint, fingerprint_of_files


def enabled_folders(extensions: Path, settings_file: Path, disable: str = "none") -> tuple[Path, ...]:
    """Folders of user extensions that the settings do not switch off, by name.

    `disable` is what the command line says (none, extra, all); both last ones switch user extensions off.
    """
    try:
        loaded = json.loads(settings_file.read_text("utf-8"))
        settings: Mapping = loaded if isinstance(loaded, dict) else {}
    except (OSError, ValueError):
        settings = {}
    if "none" != disable or settings.get("disable_all_extensions", "none") != "none" or not extensions.is_dir():
        return ()
    off = set(settings.get("disabled_extensions", ()))
    return tuple(p for p in sorted(extensions.iterdir()) if p.is_dir() and p.name not in off and p.name[0] not in "._")


class ExtensionInstallers:
    """Runs the installers of extensions, each once for each version of it; what fails is said and tried again."""

    def __init__(self, environment: Environment, runner: Runner, console: Console, words: list[str]) -> None:
        self.environment = environment
        self.runner = runner
        self.console = console
        self.words = words  # our own command line, for installers that read `launch.args`

    def folders(self) -> tuple[Path, ...]:
        args, paths = self.environment.args, self.environment.paths
        disable = "all" if args.disable_all_extensions or args.disable_extra_extensions else "none"
        return enabled_folders(paths.extensions, paths.settings, disable)

    def pending(self) -> tuple[Path, ...]:
        with_installer = (folder for folder in self.folders() if (folder / "install.py").is_file())
        return tuple(f for f in with_installer if not self.environment.state.done(step_name(f), self.wanted(f)))

    def wanted(self, folder: Path) -> str:
        """Changes with the extension's installer, its requirement lists, its commit, and our own packages."""
        files = [folder / "install.py", *sorted(folder.glob("*requirements*.txt")), folder / ".git" / "HEAD"]
        files += [*(folder / ".git" / "refs" / "heads").glob("*")]
        ours = fingerprint_of_files(self.environment.requirement_files())
        return fingerprint(fingerprint_of_files(files), ours, self.environment.identity)

    def run(self, folder: Path) -> bool:
        """Runs one `install.py`; a failure is reported and never stops the start."""
        variables = self.environment.extension_variables()
        variables["COMMANDLINE_ARGS"] = shlex.join(self.words) if os.name != "nt" else " ".join(self.words)
        live = self.environment.environ.get("WEBUI_LAUNCH_LIVE_OUTPUT") == "1"
        self.console.detail(f"{folder.name}: running install.py")
        ended = self.runner.stream(
            [str(self.environment.python), str(folder / "install.py")], variables,
            folder=PROGRAM, log=self.environment.log, show=live,
        )  # fmt: skip
        if ended.status == 0:
            self.environment.state.record(step_name(folder), self.wanted(folder))
            return True
        for line in ended.tail.splitlines()[-6:]:
            self.console.detail(f"  {line}")
        why = ""
        if re.search(r"ResolutionImpossible|conflicting dependencies|No solution found", ended.tail):
            why = " It asks for other versions of packages that the program itself needs, which is refused."
        self.console.detail(
            f"{folder.name}: install.py failed (status {ended.status}).{why} The program starts without what it "
            "installs, and tries again next time."
        )
        return False

    def update(self) -> None:
        """`git pull` in every enabled extension that is a clone, forward only."""
        git = self.environment.environ.get("GIT", "git")
        for folder in self.folders():
            if (folder / ".git").exists():
                command = [git, "-C", str(folder), "pull", "--ff-only", "--quiet"]
                ended = self.runner.capture(command, self.environment.variables())
                last = (ended.tail.strip().splitlines() or ["no reason given"])[-1]
                self.console.detail(
                    f"{folder.name}: " + ("up to date" if ended.status == 0 else f"not updated: {last}")
                )


def step_name(folder: Path) -> str:
    return f"extension:{folder.name}"
