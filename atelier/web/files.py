"""GET /file=<path>: files that page and extensions may load, from an explicit list of folders."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import FileResponse

from atelier.base.errors import NotFound
from atelier.web.api.common import OwnedApp
from atelier.web.folders import served_folders

router = APIRouter(include_in_schema=False)

#: could run script in the name of this server; only extensions may serve such files
_ACTIVE = (".html", ".htm", ".svg", ".xml", ".xhtml", ".js", ".mjs")


@router.get("/file={path:path}")
def file(path: str, request: Request, app: OwnedApp) -> FileResponse:
    """`path` is absolute, or relative to the program or the data folder. Hidden files are never served."""
    code, pictures = served_folders(app, request.app.state.assets)
    for root in (app.paths.program, app.paths.data):
        # Resolved first: a link or `..` must not lead out of the folder that was checked.
        real = (root / path.partition("?")[0]).resolve()
        if not real.is_file() or any(part.startswith(".") for part in real.relative_to(real.anchor).parts[-1:]):
            continue
        trusted = any(real.is_relative_to(folder) for folder in code)
        if trusted or any(real.is_relative_to(folder) for folder in pictures):
            headers: dict[str, Any] = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"}
            if not trusted and real.suffix.lower() in _ACTIVE:
                headers["Content-Disposition"] = "attachment"
            return FileResponse(real, headers=headers)
    raise NotFound(f"There is no file {path[:200]} that may be served.", remedy="See --gradio-allowed-path.")
