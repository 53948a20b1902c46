"""The program's own Python environment: where it is, what is in it, how packages get into it."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from atelier.base.paths import PROGRAM, Paths
from atelier.launch.pins import installed_in
from atelier.launch.state import SetupState

SUPPORTED = ((3, 10), (3, 13))  # first and last Python that every pinned package has a build for
REQUIREMENTS = PROGRAM / "requirements"


class Environment:
    """A venv, or with `--venv-dir -` the Python that is running."""

    def __init__(self, args: argparse.Namespace, paths: Paths, environ: Mapping[str, str]) -> None:
        self.args = args
        self.paths = paths
        self.environ = environ
        self.folder: Path | None = None if args.venv_dir == "-" else Path(args.venv_dir)
        self.state = SetupState(self.folder or paths.cache)
        self.settings = launch_settings(paths.settings)

    @property
    def python(self) -> Path:
        if self.folder is None:
            return Path(sys.executable)
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    @property
    def log(self) -> Path | None:
        """The installers' whole output, kept inside the environment."""
        return self.folder / "atelier-setup.log" if self.folder and self.folder.is_dir() else None

    @property
    def version(self) -> tuple[int, int] | None:
        """Python version of the environment, without starting it; None when there is no environment yet."""
        if self.folder is None:
            return sys.version_info[:2]
        match = re.search(r"^version(?:_info)?\s*=\s*(\d+)\.(\d+)", self._config(), re.M)
        return (int(match[1]), int(match[2])) if match else None

    @property
    def intact(self) -> bool:
        """Whether the environment has a Python that still exists, and pip."""
        if self.folder is None:
            return True
        return self.version is not None and self.python.exists() and "pip" in self.installed()

    @property
    def identity(self) -> str:
        """Changes when the environment is made anew or with another Python."""
        return f"{sys.executable} {sys.version}" if self.folder is None else self._config()

    def _config(self) -> str:
        file = self.folder / "pyvenv.cfg" if self.folder else None
        return file.read_text("utf-8", "replace") if file and file.is_file() else ""

    def site_packages(self) -> tuple[Path, ...]:
        if self.folder is None:
            return tuple(Path(entry) for entry in sys.path if entry.endswith(("site-packages", "dist-packages")))
        if os.name == "nt":
            return (self.folder / "Lib" / "site-packages",)
        return tuple(sorted(self.folder.glob("lib/python3*/site-packages")))

    def installed(self) -> dict[str, str]:
        return installed_in(self.site_packages())

    def requirement_files(self) -> tuple[Path, ...]:
        given = self.environ.get("REQS_FILE")
        return ((PROGRAM / given) if given else PROGRAM / "requirements.txt",)

    # Installing

    def option(self, name: str) -> Any:
        """An option for downloads: from the command line, else from the settings file (key `launch_<name>`)."""
        return getattr(self.args, name) or self.settings.get(f"launch_{name}") or None

    def variables(self) -> dict[str, str]:
        """Environment variables for installers.

        Mirrors and proxies travel only in these, and nothing is written into anybody's configuration: leaving an
        option out undoes it.
        """
        variables = {**self.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONUNBUFFERED": "1"}
        variables.pop("PYTHONHOME", None)
        if index := self.option("index_url"):
            variables.update(PIP_INDEX_URL=index, UV_DEFAULT_INDEX=index)
        if links := self.option("find_links"):
            variables["PIP_FIND_LINKS"] = " ".join(filter(None, (links, variables.get("PIP_FIND_LINKS"))))
            variables["UV_FIND_LINKS"] = links
        if proxy := self.option("proxy"):
            variables.update(PIP_PROXY=proxy, HTTP_PROXY=proxy, HTTPS_PROXY=proxy, ALL_PROXY=proxy)
        if self.option("offline"):
            variables.update(PIP_NO_INDEX="1", UV_OFFLINE="1", HF_HUB_OFFLINE="1")
        return variables

    def extension_variables(self) -> dict[str, str]:
        """Variables for the installers of extensions: they may add packages, but not change the versions of ours."""
        files = [*self.requirement_files(), REQUIREMENTS / "torch.txt", REQUIREMENTS / "constraints.txt"]
        known = [file.as_uri() for file in files if file.is_file()]
        own_path = os.pathsep.join(filter(None, (str(PROGRAM), self.environ.get("PYTHONPATH"))))
        return {
            **self.variables(), "PYTHONPATH": own_path,
            "PIP_CONSTRAINT": " ".join(known), "UV_CONSTRAINT": " ".join(known),
        }  # fmt: skip

    def pip(self, *words: str) -> list[str]:
        return [str(self.python), "-m", "pip", *words]

    def install_command(self, *words: str, uv: str = "") -> list[str]:
        """The command that installs `words` within our constraints, with pip or with the uv given."""
        constraints = ["-c", str(REQUIREMENTS / "constraints.txt")]
        if uv:
            # uv asks one index per package unless told otherwise; torch's index holds old copies of others.
            best = ["--index-strategy", "unsafe-best-match"]
            return [uv, "pip", "install", "--python", str(self.python), *best, *words, *constraints]
        return self.pip("install", "--prefer-binary", "--progress-bar", "off", *words, *constraints)

    def uv(self) -> str:
        """uv's path, or "" when it is not wanted or not there."""
        if not self.option("use_uv"):
            return ""
        own = self.python.with_name("uv.exe" if os.name == "nt" else "uv")
        return str(own) if own.exists() else shutil.which("uv") or ""


def launch_settings(file: Path) -> dict[str, Any]:
    """The settings file's keys that begin with `launch_`; none when it is missing or damaged (the server tells)."""
    try:
        loaded = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return {k: v for k, v in loaded.items() if k.startswith("launch_")} if isinstance(loaded, dict) else {}
