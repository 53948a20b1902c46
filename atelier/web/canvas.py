"""Canvases: where a picture is given and painted on. The work is done by javascript/canvas.js."""

from __future__ import annotations

import html
from typing import Any

from atelier.web.markup import markup

#: picture: only shown; sketch: colours painted on it; mask: what is to be painted anew; color-mask: both at once
MODES = ("picture", "sketch", "mask", "color-mask")


def place_canvas(elem_id: str, mode: str = "picture", label: str = "") -> Any:
    """The element is found by scripts as `#elem_id atelier-canvas`."""
    if mode not in MODES:
        raise ValueError(f"unknown mode {mode!r}")
    words = html.escape(label, quote=True)
    return markup(
        f'<atelier-canvas mode="{mode}" label="{words}"></atelier-canvas>', elem_id=elem_id,
        classes=["atelier-canvas-holder"],
    )  # fmt: skip
