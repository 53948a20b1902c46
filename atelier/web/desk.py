"""Desk: the screen of the machine on which the program runs, where a folder can be opened for who sits there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from atelier.base.errors import InternalError, NotAllowed, NotFound
from atelier.web.auth import is_exposed

_REMEDY = "Open the folder by hand."


def has_desk(arguments: Mapping[str, Any]) -> bool:
    """Whether folders may be opened here: nobody comes from elsewhere, and there is something that opens them."""
    return not is_exposed(arguments) and not arguments.get("hide_ui_dir_config") and _command() is not None


def show_folder(folder: Path, arguments: Mapping[str, Any]) -> None:
    """Opens it in the system's own program. Raises `NotAllowed`, `NotFound`, or `InternalError` with the reason."""
    if not has_desk(arguments):
        raise NotAllowed(f"The folder cannot be opened from here. It is {folder}.", remedy=_REMEDY)
    if not folder.is_dir():
        raise NotFound(f"There is no folder {folder} yet.", remedy="It is made with the first picture.")
    try:
        if sys.platform == "win32":
            os.startfile(folder)  # noqa: S606 - a folder of our own
        else:
            subprocess.Popen([*(_command() or ()), str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except OSError as error:
        raise InternalError(f"{folder} could not be opened: {error.strerror or error}.", remedy=_REMEDY) from error


def _command() -> tuple[str, ...] | None:
    """What opens a folder; () for Windows, which needs no command; None where there is no screen or no such program."""
    if sys.platform == "win32":
        return ()
    if sys.platform == "darwin":
        return ("open",)
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return None
    return ("xdg-open",) if shutil.which("xdg-open") else None
