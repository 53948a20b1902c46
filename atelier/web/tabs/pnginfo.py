"""The PNG Info tab: the parameters inside a picture, and the ways to use them."""

from __future__ import annotations

import gradio as gr

from atelier.web.canvas import place_canvas
from atelier.web.markup import markup
from atelier.web.panel import hidden_text, press


def build() -> None:
    with gr.Row(elem_classes=["columns"]):
        with gr.Column(elem_classes=["settings-column"], min_width=300):
            place_canvas("pnginfo_image", "picture", "Drop a picture here to read its parameters")
        with gr.Column(elem_classes=["results-column", "plain-column"], min_width=300):
            markup("", elem_id="html_info_pnginfo", classes=["infotext", "card"])
            with gr.Row(elem_id="image_buttons_pnginfo", elem_classes=["image-buttons", "send-row", "idle"]):
                for place, label in (("txt2img", "txt2img"), ("img2img", "img2img"), ("inpaint", "inpaint"),
                                     ("extras", "extras")):  # fmt: skip
                    button = gr.Button(f"Send to {label}", elem_id=f"pnginfo_send_to_{place}", size="sm", min_width=80)
                    press(button, f"atelier.pnginfo.sendTo('{place}')")
                again = gr.Button("Run again and compare", elem_id="pnginfo_replay", size="sm", min_width=80)
                press(again, "atelier.pnginfo.replay()")
            markup("", elem_id="pnginfo_replay_result", classes=["replay"])
            hidden_text("pnginfo_generation_info")
