"""The Extras tab: pictures that are there already are enlarged, their faces repaired, cut and described."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import gradio as gr

from atelier.app import App
from atelier.web.canvas import place_canvas
from atelier.web.desk import has_desk
from atelier.web.forms import Form
from atelier.web.markup import markup
from atelier.web.panel import Panel, generate_box, results, tool, wires

_SENDS = (
    ("🖼️", "img2img", "Send the picture to img2img"),
    ("🎨", "inpaint", "Send the picture to inpaint"),
    ("📐", "extras", "Work on the picture again"),
)
#: steps for data sets: (part, the rows of its controls)
_DATASET = (
    ("split", (("threshold", "overlap"),)),
    ("focal", (("face_weight", "entropy_weight", "edges_weight"),)),
    ("autocrop", (("min_side", "max_side"), ("min_area", "max_area"), ("objective", "threshold"))),
    ("flip", (("ways",),)),
    ("caption", (("by",),)),
)


def build(app: App, form: Form) -> Panel:
    panel = Panel(form, desk=has_desk(app.arguments))
    with gr.Row(elem_id="extras_columns", elem_classes=["columns"]):
        with gr.Column(elem_id="extras_settings", elem_classes=["settings-column"], min_width=300):
            _sources(form)
            _upscale(form)
            with _step(form, "gfpgan"):
                form.place("gfpgan.visibility")
            with _step(form, "codeformer"), gr.Row():
                form.place("codeformer.visibility", min_width=140)
                form.place("codeformer.weight", min_width=140)
            with _step(form, "background"):
                form.place("background.mask_only")
            for part, rows in _DATASET:
                _plain_step(form, part, rows)
            with gr.Column(elem_id="extras_script_container", elem_classes=["script-container"]):
                areas = [a for a in app.plugins.relay.script_controls(app=app, tab="extras") if a is not None]
                panel.area = areas[0] if areas else None
        results(panel, _SENDS, head=lambda: _head(panel))
    wires(panel)
    return panel


def _head(panel: Panel) -> None:
    with gr.Row(elem_id="extras_toprow", elem_classes=["extras-head"]):
        generate_box(panel)


def _sources(form: Form) -> None:
    with gr.Tabs(elem_id="mode_extras", overflow_behavior="wrap"):
        with gr.Tab("Single Image", id="single_image", elem_id="extras_single_tab"):
            place_canvas("extras_image", "picture", "Drop a picture here, paste it, or click to choose")
        with gr.Tab("Batch Process", id="batch_process", elem_id="extras_batch_process_tab"):
            markup("<atelier-files></atelier-files>", elem_id="extras_image_batch", classes=["atelier-canvas-holder"])
        with gr.Tab("Batch from Directory", id="batch_from_directory", elem_id="extras_batch_directory_tab"):
            form.place("input.folder", placeholder="A folder on the machine where the program runs")
            form.place("output.folder", placeholder="Leave empty to save to the folder for results")
            form.place("output.show")


def _upscale(form: Form) -> None:
    with _step(form, "upscale"):
        with gr.Row(elem_id="extras_upscaler_row", elem_classes=["size-row"]):
            form.place("upscale.upscaler_1", min_width=140)
            tool("🔄", "extras_refresh_upscalers", "Look through the model folders again", "atelier.status.rescan()")
        with gr.Row():
            form.place("upscale.upscaler_2", min_width=140)
            form.place("upscale.visibility", min_width=140)
        with gr.Tabs(elem_id="extras_resize_mode", overflow_behavior="wrap"):
            with gr.Tab("Scale by", id="by", elem_id="extras_scale_by_tab"), gr.Row():
                form.place("upscale.scale", min_width=140)
                form.place("upscale.max_side", min_width=140)
            with gr.Tab("Scale to", id="to", elem_id="extras_scale_to_tab"):
                with gr.Row(elem_classes=["size-row"]):
                    with gr.Column(elem_id="extras_column_size", min_width=180):
                        form.place("upscale.width")
                        form.place("upscale.height")
                    with gr.Column(scale=0, min_width=40, elem_classes=["dimensions-tools"]):
                        tool("⇅", "extras_res_switch_btn", "Swap width and height", "atelier.panels.extras.swap()")
                form.place("upscale.crop")
        markup("", elem_id="extras_final_size", classes=["resolution-note"])


@contextmanager
def _step(form: Form, part: str) -> Iterator[None]:
    """The accordion of a step; its checkbox stands in its head, where javascript/accordion.js puts it."""
    enabled = form.find(f"{part}.enabled")
    elem_id = f"extras_{enabled.param.elem}"
    with gr.Accordion(enabled.param.label, open=enabled.default, elem_id=elem_id, elem_classes=["input-accordion"]):
        form.place(
            f"{part}.enabled", elem_id=f"{elem_id}-checkbox", elem_classes=["input-accordion-checkbox"]
        )  # fmt: skip
        yield


def _plain_step(form: Form, part: str, rows: Sequence[Sequence[str]]) -> None:
    with _step(form, part):
        for names in rows:
            with gr.Row():
                for name in names:
                    form.place(f"{part}.{name}", min_width=140, show_label=part not in ("flip", "caption"))
