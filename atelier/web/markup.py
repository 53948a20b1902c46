"""Markup: a piece of our own HTML on the page, which our own style and scripts own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr


def markup(html: str, elem_id: str = "", classes: Sequence[str] = (), **settings: Any) -> Any:
    """Without Gradio's own style for buttons and inputs inside, and without its handler of clicks."""
    return gr.HTML(
        html, elem_id=elem_id or None, elem_classes=list(classes), apply_default_css=False, js_on_load=None, **settings
    )
