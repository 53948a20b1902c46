"""The names that extensions' `install.py` expect of the launcher; cheap to import, no torch."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from atelier.base.errors import SetupFailed
from atelier.base.paths import PROGRAM
from atelier.launch.arguments import build_parser, commandline_words
from atelier.launch.extensions import enabled_folders
from atelier.launch.pins import installed_in, pins_of, unmet

python = sys.executable
git = os.environ.get("GIT", "git")
index_url = os.environ.get("INDEX_URL", "")
dir_repos = "repositories"
script_path = str(PROGRAM)
default_command_live = os.environ.get("WEBUI_LAUNCH_LIVE_OUTPUT") == "1"

# What extensions parse to tell hosts apart: the version of A1111 whose contract is kept, not our own version.
CONTRACT_VERSION = "v1.10.1"


def __getattr__(name: str) -> Any:
    # Computed when asked for: most importers never look at the arguments.
    if name == "args":
        return arguments()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def arguments() -> argparse.Namespace:
    """The program's options, without those that extensions add."""
    ours = Path(sys.argv[0]).name in ("launch.py", "webui.py")
    words = [*commandline_words(os.environ), *(sys.argv[1:] if ours else ())]
    return build_parser().parse_known_args(words)[0]


def run(
    command: str,
    desc: str | None = None,
    errdesc: str | None = None,
    custom_env: Mapping[str, str] | None = None,
    live: bool = default_command_live,
) -> str:
    """Runs a shell command and returns what it printed. Raises `RuntimeError` with its output when it fails."""
    if desc is not None:
        sys.stdout.write(desc + "\n")
        sys.stdout.flush()
    kept = None if live else subprocess.PIPE
    done = subprocess.run(
        command, shell=True, text=True, errors="replace", stdout=kept, stderr=kept, env=dict(custom_env or os.environ)
    )
    if done.returncode != 0:
        raise RuntimeError(
            f"{errdesc or 'Error running command'}.\nCommand: {command}\nError code: {done.returncode}\n"
            f"stdout: {done.stdout or ''}\nstderr: {done.stderr or ''}"
        )
    return done.stdout or ""


def run_pip(command: str, desc: str | None = None, live: bool = default_command_live) -> str | None:
    """`pip <command>` for this interpreter, within the versions that the program needs; nothing with --skip-install."""
    if arguments().skip_install:
        return None
    index = f" --index-url {index_url}" if index_url else ""
    title, error = (f"Installing {desc}", f"Couldn't install {desc}") if desc else (None, "Couldn't install")
    return run(f'"{python}" -m pip {command} --prefer-binary{index}', desc=title, errdesc=error, live=live)


def is_installed(package: str) -> bool:
    """Whether a distribution or an importable module of this name is there."""
    try:
        importlib.metadata.distribution(package)
        return True
    except importlib.metadata.PackageNotFoundError:
        pass  # not a distribution's name; it may still be a module's
    try:
        return importlib.util.find_spec(package) is not None
    except (ModuleNotFoundError, ValueError):
        return False


def git_tag() -> str:
    return CONTRACT_VERSION


def commit_hash() -> str:
    """The program's commit, or "<none>" outside a clone."""
    try:
        done = subprocess.run([git, "-C", script_path, "rev-parse", "HEAD"], capture_output=True, text=True)
    except OSError:
        return "<none>"
    return done.stdout.strip() if done.returncode == 0 else "<none>"


def repo_dir(name: str) -> str:
    return os.path.join(script_path, dir_repos, name)


def git_clone(url: str, dir: str, name: str, commithash: str | None = None) -> None:
    """Refused: the program never fetches code that is not part of it or of an extension."""
    raise SetupFailed(
        f"{name} is not cloned from {url}: an extension's files have to be in its own folder.",
        remedy="Ask the extension's author to bring the files along or to install a package.",
    )


def requirements_met(requirements_file: str) -> bool:
    """Whether every pinned line of a file is installed; a line that is no pin counts as not met."""
    try:
        pins = pins_of([Path(requirements_file)], sys.version_info[:2])
    except (OSError, ValueError):
        return False
    return not unmet(pins, installed_in(Path(p) for p in sys.path if p))


def list_extensions(settings_file: str) -> list[str]:
    """Names of the enabled user extensions."""
    args = arguments()
    data = Path(args.data_dir) if args.data_dir else PROGRAM
    off = args.disable_all_extensions or args.disable_extra_extensions
    folders = enabled_folders(data / "extensions", Path(settings_file), "all" if off else "none")
    return [folder.name for folder in folders]


def run_extension_installer(extension_dir: str) -> None:
    """Runs one extension's `install.py`, as the launcher does."""
    installer = Path(extension_dir) / "install.py"
    if installer.is_file():
        own = os.pathsep.join(filter(None, (script_path, os.environ.get("PYTHONPATH"))))
        run(f'"{python}" "{installer}"', custom_env={**os.environ, "PYTHONPATH": own})
