"""The img2img tab: a picture, or a picture with a mask, and what becomes of it."""

from __future__ import annotations

import gradio as gr

from atelier.app import App
from atelier.web import controls
from atelier.web.canvas import place_canvas
from atelier.web.desk import has_desk
from atelier.web.finishing import step_accordions
from atelier.web.forms import Form
from atelier.web.guiding import guidance_accordion
from atelier.web.markup import markup
from atelier.web.panel import Panel, overrides, press, results, toprow, wires
from atelier.web.picture_batch import place_batch
from atelier.web.tabs.networks import generation_tab

#: (label, end of the tab's id, id of the canvas, its mode); the order is A1111's
_MODES = (
    ("img2img", "img2img", "img2img_image", "picture"),
    ("Sketch", "img2img_sketch", "img2img_sketch", "sketch"),
    ("Inpaint", "inpaint", "img2maskimg", "mask"),
    ("Inpaint sketch", "inpaint_sketch", "inpaint_sketch", "color-mask"),
)
_COPIES = (("img2img", "img2img"), ("sketch", "sketch"), ("inpaint", "inpaint"), ("inpaint sketch", "inpaint_sketch"))


#: buttons that write a description of the picture into the prompt
_DESCRIBERS = (
    ("📎", "interrogate", "Interrogate CLIP: describe the picture in the prompt",
     "atelier.panels.img2img.describe('clip')"),
    ("📦", "deepbooru", "Interrogate DeepBooru: write the picture's tags into the prompt",
     "atelier.panels.img2img.describe('deepdanbooru')"),
)  # fmt: skip


def build(app: App, form: Form) -> Panel:
    panel = Panel(form, desk=has_desk(app.arguments))
    toprow(panel, _DESCRIBERS)
    with generation_tab(app, "img2img"), gr.Row(elem_id="img2img_columns", elem_classes=["columns"]):
        with gr.Column(elem_id="img2img_settings", elem_classes=["settings-column"], min_width=300):
            _pictures()
            _by_model(form)
            _inpainting(panel)
            form.place("source.resize_mode", elem_id="resize_mode")
            controls.sampler_row(panel)
            controls.refiner_accordion(panel)
            with gr.Row(elem_classes=["size-row"]):
                _size(panel)
                controls.swap_button(panel)
                controls.batch_column(panel)
            with gr.Row():
                form.place("sampling.cfg_scale", min_width=140)
                form.place("source.image_cfg_scale", min_width=140, elem_classes=["for-edit"])
                form.place("source.denoising_strength", min_width=140)
            guidance_accordion(panel)
            controls.seed_row(panel)
            overrides(panel)
            step_accordions(panel, app)
            controls.scripts(panel, app)
        results(panel, [
            ("🖼️", "img2img", "Use the picture in img2img"),
            ("🎨", "inpaint", "Use the picture in inpaint"),
            ("📐", "extras", "Send the picture to Extras"),
        ])  # fmt: skip
    wires(panel)
    return panel


def _by_model(form: Form) -> None:
    """Shown while a model is loaded that takes them: the page's body names what it needs."""
    form.place("source.image_noise", elem_classes=["for-vary"])
    with gr.Column(elem_id="img2img_depth_controls", elem_classes=["for-depth"]):
        markup("<span>Depth map: near is white. Left empty, the model looks at the picture itself, if it can.</span>",
               classes=["canvas-note"])  # fmt: skip
        place_canvas("img2img_depth", "picture", "Drop a depth map here, paste it, or click to choose")


def _pictures() -> None:
    with gr.Tabs(elem_id="mode_img2img", overflow_behavior="wrap"):
        for label, name, elem_id, mode in _MODES:
            with gr.Tab(label, id=name, elem_id=f"img2img_{name}_tab"):
                place_canvas(elem_id, mode, "Drop a picture here, paste it, or click to choose")
        with gr.Tab("Inpaint upload", id="inpaint_upload", elem_id="img2img_inpaint_upload_tab"):
            with gr.Row():
                place_canvas("img_inpaint_base", "picture", "Picture")
                place_canvas("img_inpaint_mask", "picture", "Mask: white is painted anew")
        with gr.Tab("Batch", id="batch", elem_id="img2img_batch_tab"):
            place_batch()
    with gr.Row(elem_id="img2img_copy_row", elem_classes=["copy-row"]):
        markup("<span>Copy image to</span>", classes=["copy-label"])
        for label, name in _COPIES:
            button = gr.Button(label, elem_id=f"img2img_copy_to_{name}", size="sm", min_width=60)
            press(button, f"atelier.panels.img2img.copyTo('{name}')")


def _inpainting(panel: Panel) -> None:
    """Shown by scripts while one of the inpaint modes is chosen."""
    form = panel.form
    with gr.Column(elem_id="inpaint_controls", elem_classes=["inpaint-controls"]):
        form.place("mask.blur_x", elem_id="img2img_mask_blur")
        with gr.Column(elem_id="img2img_mask_alpha_place", elem_classes=["sketch-only"]):
            gr.Slider(
                0, 100, value=0, step=1, label="Mask transparency", elem_id="img2img_mask_alpha", buttons=[],
                interactive=True,
            )  # fmt: skip
        form.place("mask.invert", elem_id="img2img_mask_mode")
        form.place("mask.fill", elem_id="img2img_inpainting_fill")
        with gr.Row():
            form.place("mask.only_masked", elem_id="img2img_inpaint_full_res")
            form.place("mask.padding", elem_id="img2img_inpaint_full_res_padding")
        controls.soft_accordion(panel)


def _size(panel: Panel) -> None:
    with gr.Tabs(elem_id="img2img_tabs_resize", overflow_behavior="wrap"):
        with gr.Tab("Resize to", id="to", elem_id="img2img_tab_resize_to"):
            controls.size_column(panel)
        with gr.Tab("Resize by", id="by", elem_id="img2img_tab_resize_by"):
            gr.Slider(0.05, 4, value=1, step=0.05, label="Scale", elem_id="img2img_scale", buttons=[], interactive=True)
            markup("", elem_id="img2img_scale_resolution_preview", classes=["resolution-note"])
