"""The accordions of steps that finished pictures go through, in both generation tabs; settings say which."""

from __future__ import annotations

from types import MappingProxyType

import gradio as gr

from atelier.app import App
from atelier.base.log import fields, logger
from atelier.params.finishing import STEPS
from atelier.web.panel import Panel

log = logger(__name__)

#: part -> the rows of its controls
ROWS = MappingProxyType({
    "upscale": (("upscaler_1", "scale"), ("upscaler_2", "visibility"), ("max_side",)),
    "gfpgan": (("visibility",),), "codeformer": (("visibility", "weight"),), "background": (("mask_only",),),
    "autocrop": (("min_side", "max_side"), ("min_area", "max_area"), ("objective", "threshold")),
})  # fmt: skip


def step_accordions(panel: Panel, app: App) -> None:
    """The checkbox stands in the head of each; javascript/accordion.js puts it there. All are off at first."""
    for name in dict.fromkeys(app.settings.get("postprocessing_enable_in_main_ui")):
        if name in STEPS:
            _accordion(panel, name, STEPS[name])
        else:
            log.warning("step cannot stand in the generation tabs: %s", fields(name=name, known=", ".join(STEPS)))


def _accordion(panel: Panel, name: str, part: str) -> None:
    form, elem_id = panel.form, f"script_{panel.tab}_{part}"
    with gr.Accordion(name, open=False, elem_id=elem_id, elem_classes=["input-accordion"]):
        form.place(
            f"{part}.enabled", elem_id=f"{elem_id}-checkbox", elem_classes=["input-accordion-checkbox"], value=False
        )
        for row in ROWS[part]:
            with gr.Row():
                for value in row:
                    form.place(f"{part}.{value}", elem_id=f"{elem_id}_{value}", min_width=140)
