"""Folders: which of this machine's files the server may give away, and which folders a request may name."""

from __future__ import annotations

from pathlib import Path

from atelier.app import App
from atelier.base.errors import BadRequest, NotAllowed
from atelier.web.auth import is_exposed
from atelier.web.hooks import Assets

_SUB_FOLDERS = ("html", "javascript")
_OUTDIRS = (
    "outdir_samples", "outdir_txt2img_samples", "outdir_img2img_samples", "outdir_extras_samples", "outdir_grids",
    "outdir_txt2img_grids", "outdir_img2img_grids", "outdir_save",
)  # fmt: skip
_REMEDY = "Use a folder below the output folders, or allow it with --gradio-allowed-path."


def served_folders(app: App, assets: tuple[Assets, ...] = ()) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """(folders whose files are trusted code of program and extensions, folders with pictures)."""
    code = [app.paths.program / name for name in _SUB_FOLDERS]
    code += [app.paths.extensions, app.paths.extensions_builtin]
    code += [Path(folder) for found in assets for folder in found.folders]
    pictures = [app.paths.data / app.settings.get(name) for name in _OUTDIRS if app.settings.get(name)]
    pictures += [Path(folder) for folder in app.arguments.get("gradio_allowed_path") or ()]
    return tuple(_real(code)), tuple(_real(pictures))


def _real(folders: list[Path]) -> list[Path]:
    return [folder.resolve() for folder in folders]


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
