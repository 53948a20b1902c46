"""The Batch tab of img2img: its controls, and how what scripts of the page read from them becomes part of a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from atelier.app import App
from atelier.base.errors import BadRequest
from atelier.params.field import declarations_of
from atelier.params.picture_batch import EXTRA, TAKEN, PictureBatch
from atelier.params.request import GenerationRequest
from atelier.web.batch_check import with_checked_batch
from atelier.web.forms import component_for
from atelier.web.markup import markup


def place_batch() -> None:
    """The values are read by javascript/img2img.js when Generate is pressed: no other job sends them."""
    with gr.Tabs(elem_id="img2img_batch_source", overflow_behavior="wrap"):
        with gr.Tab("Upload", id="upload", elem_id="img2img_batch_upload_tab"):
            markup("<atelier-files></atelier-files>", elem_id="img2img_batch_upload", classes=["atelier-canvas-holder"])
        with gr.Tab("From directory", id="from_dir", elem_id="img2img_batch_from_dir_tab"):
            _place("folder", placeholder="A folder on the machine where the program runs")
            _place("output_folder", placeholder="Leave empty to save as usual")
    _place("mask_folder", placeholder="Leave empty to paint whole pictures")
    with gr.Accordion("PNG info", open=False, elem_id="img2img_batch_png_info"):
        _place("use_png_info")
        _place("png_info_folder", placeholder="Leave empty to use the pictures themselves")
        gr.CheckboxGroup(list(TAKEN), label=_declared("png_info_fields").param.label,
                         elem_id="img2img_batch_png_info_props", interactive=True)  # fmt: skip


def _declared(name: str) -> Any:
    return next(declaration for declaration in declarations_of(PictureBatch) if declaration.name == name)


def _place(name: str, **more: Any) -> None:
    declaration = _declared(name)
    settings = {
        "label": declaration.param.label, "value": declaration.default, "interactive": True,
        "elem_id": f"img2img_{declaration.param.elem}", **more,
    }  # fmt: skip
    component_for(declaration, (), [], settings)


def batch_values(app: App, told: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted names and values for what the page told; the first picture stands for all. Raises `BadRequest`."""
    given = told.get("batch")
    if not isinstance(given, Mapping):
        raise BadRequest(EXTRA, "its scripts did not run.", remedy="Reload the page.")
    request = with_checked_batch(app, GenerationRequest().with_values(extras={EXTRA: given}))
    return {"source.images": request.source.images, "extras": request.extras}
