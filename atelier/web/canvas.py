"""Canvases: where a picture is given and painted on. The work is done by javascript/canvas.js."""

from __future__ import annotations

import html
from typing import Any

import gradio as gr

#: picture: only shown; sketch: colours painted on it; mask: what is to be painted anew; color-mask: both at once
MODES = ("picture", "sketch", "mask", "color-mask")


def place_canvas(elem_id: str, mode: str = "picture", label: str = "") -> Any:
    """The element is found by scripts as `#elem_id atelier-canvas`."""
    if mode not in MODES:
        raise ValueError(f"unknown mode {mode!r}")
    words = html.escape(label, quote=True)
    return gr.HTML(
        f'<atelier-canvas mode="{mode}" label="{words}"></atelier-canvas>', elem_id=elem_id,
        elem_classes=["atelier-canvas-holder"], js_on_load=None,
    )  # fmt: skip
