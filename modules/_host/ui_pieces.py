"""Small parts of A1111's page that extensions build with: refresh buttons, output panels, symbols."""

from __future__ import annotations

import html
import platform
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from atelier.base.version import VERSION
from modules._host.ui_components import ToolButton

random_symbol = "\U0001f3b2\ufe0f"
reuse_symbol = "\u267b\ufe0f"
paste_symbol = "\u2199\ufe0f"
refresh_symbol = "\U0001f504"
save_style_symbol = "\U0001f4be"
apply_style_symbol = "\U0001f4cb"
clear_prompt_symbol = "\U0001f5d1\ufe0f"
extra_networks_symbol = "\U0001f3b4"
switch_values_symbol = "\u21c5"
restore_progress_symbol = "\U0001f300"
detect_image_size_symbol = "\U0001f4d0"
folder_symbol = "\U0001f4c2"


def gr_show(visible: bool = True) -> dict[str, Any]:
    return {"visible": visible, "__type__": "update"}


def plaintext_to_html(text: str, classname: str | None = None) -> str:
    content = "<br>\n".join(html.escape(line) for line in text.split("\n"))
    return f"<p class='{classname}'>{content}</p>" if classname else f"<p>{content}</p>"


def create_refresh_button(
    refresh_component: Any, refresh_method: Callable[[], Any], refreshed_args: Any, elem_id: str
) -> ToolButton:
    """A button that calls a function and shows the new choices. `refreshed_args` is a dict or gives one."""
    several = isinstance(refresh_component, list)
    targets = refresh_component if several else [refresh_component]

    def refresh() -> Any:
        refresh_method()
        args = refreshed_args() if callable(refreshed_args) else refreshed_args
        for name, value in (args or {}).items():
            for target in targets:
                setattr(target, name, value)
        updates = [gr.update(**(args or {})) for _ in targets]
        return updates if several else updates[0]

    button = ToolButton(value=refresh_symbol, elem_id=elem_id)
    button.click(fn=refresh, inputs=[], outputs=targets)
    return button


@dataclass
class OutputPanel:
    gallery: Any = None
    generation_info: Any = None
    infotext: Any = None
    html_log: Any = None
    button_upscale: Any = None


def create_output_panel(tabname: str, outdir: str, toprow: Any = None) -> OutputPanel:
    """The place for results in a tab of an extension."""
    panel = OutputPanel()
    with gr.Column(elem_id=f"{tabname}_results"):
        with gr.Group(elem_id=f"{tabname}_gallery_container"):
            panel.gallery = gr.Gallery(
                label="Output", show_label=False, elem_id=f"{tabname}_gallery", columns=4, preview=True
            )
        with gr.Row(elem_id=f"image_buttons_{tabname}"):
            gr.Button(folder_symbol, elem_id=f"{tabname}_open_folder", visible="hidden")
        with gr.Group():
            panel.infotext = gr.HTML(elem_id=f"html_info_{tabname}", elem_classes="infotext")
            panel.html_log = gr.HTML(elem_id=f"html_log_{tabname}", elem_classes="html-log")
            panel.generation_info = gr.Textbox(visible="hidden", elem_id=f"generation_info_{tabname}")
    return panel


def versions_html() -> str:
    return f"version: <a>{html.escape(version_tag())}</a> &#x2000;&bull;&#x2000; python: {platform.python_version()}"


def version_tag() -> str:
    """The level of A1111's interface that is offered, in its form; extensions branch on it."""
    return "v1.10.1"


def program_version() -> str:
    return VERSION


def setup_dialog(button_show: Any, dialog: Any, *, button_close: Any = None) -> None:
    """Shows a hidden part of the page as a dialog when a button is pressed."""
    dialog.visible = False
    button_show.click(fn=lambda: gr.update(visible=True), inputs=[], outputs=[dialog])
    if button_close is not None:
        button_close.click(fn=lambda: gr.update(visible=False), inputs=[], outputs=[dialog])
