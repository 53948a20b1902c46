"""Mounting the page: its head, theme, own files, and Gradio's front end with tabs built at once."""

from __future__ import annotations

import html
import mimetypes
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request
from starlette.responses import FileResponse, Response

from atelier.app import App
from atelier.base.errors import NotFound
from atelier.base.version import VERSION
from atelier.web.card_routes import add_card_routes
from atelier.web.frontend import core_bundle
from atelier.web.hooks import Assets
from atelier.web.look import theme
from atelier.web.page import build_page
from atelier.web.page_routes import add_routes
from atelier.web.server import build_server
from atelier.web.style_routes import add_style_routes

#: in the order in which they are loaded: what A1111's scripts expect first, each file after those it needs
SCRIPTS = (
    "doors.js", "tabs.js", "api.js", "icons.js", "job.js", "typed.js", "status.js", "accordion.js", "progress.js",
    "lightbox.js", "gallery.js", "canvas_layers.js", "canvas.js", "prompts.js", "emphasis.js",
    "combobox.js", "styles.js", "menu.js", "infotext.js", "hires.js", "panel.js", "parcels.js", "legacy.js",
    "card_texts.js", "card_dialogs.js", "cards.js", "img2img.js", "files.js", "extras.js", "replay.js", "pnginfo.js",
    "merger.js", "queue.js", "pictures.js", "settings.js", "extensions.js", "start.js",
)  # fmt: skip
#: after those of extensions
LAST = "last.js"
_OWN = "atelier/page"


def build_paged_server(app: App) -> FastAPI:
    """The server with the page in it. Raises `SetupFailed` as `build_server` does."""
    server = build_server(app, page=build_page(app), mount=page_mount(app))
    add_page_routes(server, app)
    return server


def page_mount(app: App) -> dict[str, Any]:
    """What `build_server` needs for mounting the page."""
    return {"theme": theme(), "head": head(app), "footer_links": [], "run_history": False, "show_error": True}


def head(app: App) -> str:
    """Everything is named relative to the page, so that it also works behind a proxy's sub-folder."""
    assets = [a for a in app.plugins.relay.provide_assets(app=app) if a is not None]
    theme_word = html.escape(str(app.arguments.get("theme") or ""), quote=True)
    first = (_own_files(app) / "theme.js").read_text("utf-8")
    lines = [
        '<meta name="color-scheme" content="light dark">',
        f'<meta name="atelier-theme" content="{theme_word}"><meta name="atelier-version" content="{VERSION}">',
        f"<script>{first}</script>",
        f'<link rel="stylesheet" href="{_own_url(app.paths.program / "style.css", "style.css")}">',
        *(_script(_own_url(_own_files(app) / name, f"javascript/{name}")) for name in SCRIPTS),
        *_foreign(assets),
        _script(_own_url(_own_files(app) / LAST, f"javascript/{LAST}")),
    ]
    return "\n".join(line for line in lines if line)


def _foreign(assets: list[Assets]) -> list[str]:
    """Scripts and styles of extensions, after the program's own."""
    lines = []
    for found in assets:
        lines += [f'<link rel="stylesheet" href="{_file_url(path)}">' for path in found.styles]
        lines += [_script(_file_url(path)) for path in found.scripts]
        lines += [f'<script type="module" src="{_file_url(path)}"></script>' for path in found.modules]
        lines.append(found.head)
    return lines


def _script(url: str) -> str:
    return f'<script src="{url}"></script>'


def _own_files(app: App) -> Path:
    return app.paths.program / "javascript"


def _own_url(path: Path, name: str) -> str:
    return f"{_OWN}/{name}?{_changed(path)}"


def _file_url(path: str) -> str:
    return f"file={quote(path)}?{_changed(Path(path))}"


def _changed(path: Path) -> int:
    """Put behind an address, so that browsers fetch what has changed."""
    return int(path.stat().st_mtime) if path.is_file() else 0


def add_page_routes(server: FastAPI, app: App) -> None:
    """The page's own files, and the changed file of Gradio's front end in the place of the original."""

    @server.get(f"/{_OWN}/{{name:path}}", include_in_schema=False)
    def own_file(name: str, request: Request) -> Response:
        root = app.paths.program
        path = (root / name).resolve()
        allowed = path == (root / "style.css").resolve() or path.is_relative_to((root / "javascript").resolve())
        if not (allowed and path.is_file()):
            raise NotFound(f"There is no file {name[:200]}.")
        kind = mimetypes.guess_type(path.name)[0] if path.suffix != ".js" else "text/javascript"
        # An address with the time of the last change in it means one content for ever.
        kept = "private, max-age=31536000, immutable" if request.url.query else "no-cache"
        return FileResponse(path, media_type=kind, headers={"Cache-Control": kept})

    add_routes(server, app)
    add_style_routes(server, app)
    add_card_routes(server, app)
    bundle = core_bundle()
    if bundle is not None:

        @server.get(f"/assets/{bundle.name}", include_in_schema=False)
        def front_end() -> Response:
            return Response(bundle.text, media_type="text/javascript", headers={"Cache-Control": "no-cache"})
