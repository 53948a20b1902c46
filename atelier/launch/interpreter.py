"""Which Python the environment is made with: the running one if it fits, else another that is on this machine."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from atelier.base.errors import SetupFailed
from atelier.launch.environment import SUPPORTED
from atelier.launch.probe import Probe

VERSION = "import sys, struct; print(*sys.version_info[:2], struct.calcsize('P') * 8)"


def supported(version: tuple[int, ...] | None) -> bool:
    return version is not None and SUPPORTED[0] <= tuple(version[:2]) <= SUPPORTED[1]


def candidates(system: str) -> list[list[str]]:
    """Commands that may start a Python that fits, the newest well-tried one first."""
    versions = ("3.11", "3.12", "3.13", "3.10")
    if system == "Windows":
        return [["py", f"-{version}"] for version in versions]
    return [[f"python{version}"] for version in versions]


def choose(probe: Probe, environ: Mapping[str, str], running: tuple[int, ...], anything: bool = False) -> str:
    """Path of the Python to use. Raises `SetupFailed` when none fits; `anything` takes the running one as it is."""
    own = environ.get("PYTHON", "")
    if not own and (supported(running) or anything):
        return sys.executable
    commands = [[own]] if own else candidates(probe.system)
    for command in commands:
        said = (probe.run([*command, "-c", VERSION]) or "").split()
        if len(said) == 3 and (anything or (supported((int(said[0]), int(said[1]))) and said[2] == "64")):
            path = probe.run([*command, "-c", "import sys; print(sys.executable)"])
            return (path or command[0]).strip()
    first, last = (".".join(map(str, version)) for version in SUPPORTED)
    what = f"PYTHON={own} is" if own else f"This is Python {'.'.join(map(str, running[:2]))}, and no other was found,"
    raise SetupFailed(
        f"{what} not one of Python {first} to {last} in 64 bits.",
        remedy="Install Python 3.11 or 3.12 beside it and start again; PYTHON=path names one outside the search path.",
        step="python",
    )
