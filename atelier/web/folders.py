"""Folders that a request names: which of this machine's folders may be worked on through the server."""

from __future__ import annotations

from pathlib import Path

from atelier.app import App
from atelier.base.errors import BadRequest, NotAllowed
from atelier.web.auth import is_exposed
from atelier.web.files import served_folders

_REMEDY = "Use a folder below the output folders, or allow it with --gradio-allowed-path."


def checked_folder(app: App, text: str, field: str, *, exists: bool) -> str:
    """The folder as an absolute path. Raises `BadRequest`, `NotAllowed`.

    On this machine alone any folder may be named. A server that others can reach works only in the folders whose
    pictures it serves; with --hide-ui-dir-config in none.
    """
    if not text.strip():
        return ""
    if app.arguments.get("hide_ui_dir_config"):
        raise NotAllowed("Folders may not be named here.", remedy="Start without --hide-ui-dir-config.", field=field)
    try:
        # Resolved first: a link or `..` must not lead out of the folder that was checked.
        path = (app.paths.data / Path(text.strip()).expanduser()).resolve()
        there = path.is_dir()
    except (OSError, RuntimeError, ValueError) as error:
        raise BadRequest(field, "this is not the name of a folder.", remedy="Check it.") from error
    if is_exposed(app.arguments):
        _, pictures = served_folders(app)
        if not any(path.is_relative_to(folder) for folder in pictures):
            raise NotAllowed(f"{text[:200]} lies outside of the folders that may be used.", remedy=_REMEDY, field=field)
    if exists and not there:
        raise BadRequest(field, f"there is no folder {text[:200]}.", remedy="Check its name.")
    return str(path)
