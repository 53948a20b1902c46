"""The txt2img tab."""

from __future__ import annotations

import gradio as gr

from atelier.app import App
from atelier.web import controls
from atelier.web.desk import has_desk
from atelier.web.finishing import step_accordions
from atelier.web.forms import Form
from atelier.web.guiding import guidance_accordion
from atelier.web.panel import Panel, overrides, results, toprow, wires
from atelier.web.tabs.networks import generation_tab


def build(app: App, form: Form) -> Panel:
    panel = Panel(form, desk=has_desk(app.arguments))
    toprow(panel)
    with generation_tab(app, "txt2img"), gr.Row(elem_id="txt2img_columns", elem_classes=["columns"]):
        with gr.Column(elem_id="txt2img_settings", elem_classes=["settings-column"], min_width=300):
            controls.sampler_row(panel)
            controls.hires_accordion(panel)
            controls.refiner_accordion(panel)
            with gr.Row(elem_classes=["size-row"]):
                controls.size_column(panel)
                controls.swap_button(panel)
                controls.batch_column(panel)
            form.place("sampling.cfg_scale")
            guidance_accordion(panel)
            controls.seed_row(panel)
            overrides(panel)
            step_accordions(panel, app)
            controls.scripts(panel, app)
        results(panel, [
            ("🖼️", "img2img", "Send picture and parameters to img2img"),
            ("🎨", "inpaint", "Send picture and parameters to inpaint"),
            ("📐", "extras", "Send the picture to Extras"),
        ], tools=[
            ("✨", "txt2img_upscale", "Hires fix on this picture, with its own seed",
             "atelier.panels.txt2img.upscale()"),
        ])  # fmt: skip
    wires(panel)
    return panel
