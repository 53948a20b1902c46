"""Groups of controls that both generation tabs show: sampler, size, seed, batch, hires fix, scripts."""

from __future__ import annotations

import gradio as gr

from atelier.app import App
from atelier.web.markup import markup
from atelier.web.panel import Panel, tool


def sampler_row(panel: Panel) -> None:
    form = panel.form
    with gr.Row(elem_id=f"sampler_selection_{panel.tab}"):
        form.place("sampling.sampler", min_width=140, scale=1)
        form.place("sampling.scheduler", min_width=120, scale=1)
        form.place("sampling.steps", min_width=180, scale=2)


def size_column(panel: Panel) -> None:
    form = panel.form
    with gr.Column(elem_id=f"{panel.tab}_column_size", scale=4, min_width=180):
        form.place("size.width")
        form.place("size.height")


def swap_button(panel: Panel) -> None:
    tab = panel.tab
    with gr.Column(elem_id=f"{tab}_dimensions_row", scale=0, min_width=40, elem_classes=["dimensions-tools"]):
        tool("⇅", f"{tab}_res_switch_btn", "Swap width and height", f"switchWidthHeight('{tab}')")
        if tab == "img2img":
            tool(
                "📐",
                f"{tab}_detect_image_size_btn",
                "Take the size of the picture",
                "atelier.panels.img2img.takeSize()",
            )


def batch_column(panel: Panel) -> None:
    with gr.Column(elem_id=f"{panel.tab}_column_batch", scale=3, min_width=150):
        panel.form.place("batch.count")
        panel.form.place("batch.size")


def seed_row(panel: Panel) -> None:
    form, tab = panel.form, panel.tab
    with gr.Row(elem_id=f"{tab}_seed_row", elem_classes=["seed-row"]):
        form.place("seed.seed", min_width=120)
        tool("🎲", f"{tab}_random_seed", "A new seed each time", f"setRandomSeed('{tab}_seed')")
        tool("♻️", f"{tab}_reuse_seed", "The seed of the shown picture", f"atelier.panels.{tab}.reuseSeed('seed')")
        gr.Checkbox(
            False,
            label="Extra",
            elem_id=f"{tab}_subseed_show",
            scale=0,
            min_width=80,
            container=False,
            interactive=True,
        )
    with gr.Column(elem_id=f"{tab}_seed_extras", elem_classes=["seed-extras"]):
        with gr.Row(elem_id=f"{tab}_subseed_row", elem_classes=["seed-row"]):
            form.place("seed.subseed", min_width=120)
            tool("🎲", f"{tab}_random_subseed", "A new variation seed each time", f"setRandomSeed('{tab}_subseed')")
            tool("♻️", f"{tab}_reuse_subseed", "The variation seed of the shown picture",
                 f"atelier.panels.{tab}.reuseSeed('subseed')")  # fmt: skip
            form.place("seed.subseed_strength", min_width=140)
        with gr.Row(elem_id=f"{tab}_seed_resize_row"):
            form.place("seed.resize_from_w", elem_id=f"{tab}_seed_resize_from_w", min_width=140)
            form.place("seed.resize_from_h", elem_id=f"{tab}_seed_resize_from_h", min_width=140)


def hires_accordion(panel: Panel) -> None:
    """The checkbox stands in the head of the accordion; javascript/accordion.js puts it there."""
    form, tab = panel.form, panel.tab
    with gr.Accordion("Hires. fix", open=False, elem_id=f"{tab}_hr", elem_classes=["input-accordion"]):
        form.place("hires.enabled", elem_id=f"{tab}_hr-checkbox", elem_classes=["input-accordion-checkbox"])
        markup("", elem_id="txtimg_hr_finalres", classes=["resolution-note"])
        with form.row("hires.upscaler", "hires.steps", "hires.denoising_strength", elem_id=f"{tab}_hires_fix_row1"):
            pass
        with form.row("hires.scale", "hires.resize_x", "hires.resize_y", elem_id=f"{tab}_hires_fix_row2"):
            pass
        with gr.Accordion(
            "Other model, sampler and prompt for the second pass", open=False, elem_id=f"{tab}_hires_more"
        ):
            with gr.Row(elem_id=f"{tab}_hires_fix_row0"):
                form.place("hires.checkpoint", elem_id="hr_checkpoint", label="Checkpoint", min_width=180)
                form.place("hires.cfg_scale", min_width=140)
            with gr.Row(elem_id=f"{tab}_hires_fix_row3"):
                form.place("hires.sampler", elem_id="hr_sampler")
                form.place("hires.scheduler", elem_id="hr_scheduler")
            form.place("hires.prompt", elem_id="hires_prompt", lines=2)
            form.place("hires.negative", elem_id="hires_neg_prompt", lines=2)


def refiner_accordion(panel: Panel) -> None:
    form, tab = panel.form, panel.tab
    with gr.Accordion("Refiner", open=False, elem_id=f"{tab}_enable", elem_classes=["input-accordion"]):
        form.place("refiner.enabled", elem_id=f"{tab}_enable-checkbox", elem_classes=["input-accordion-checkbox"])
        with gr.Row(elem_id=f"{tab}_refiner_row"):
            form.place("refiner.checkpoint", min_width=180)
            form.place("refiner.switch_at", min_width=140)


def soft_accordion(panel: Panel) -> None:
    """Soft inpainting: of the inpaint modes only."""
    form, name = panel.form, "script_soft_inpainting"
    with gr.Accordion("Soft inpainting", open=False, elem_id=f"{name}_enabled", elem_classes=["input-accordion"]):
        form.place("soft.enabled", elem_id=f"{name}_enabled-checkbox", elem_classes=["input-accordion-checkbox"])
        for left, right in (("mask_blend_power", "mask_blend_scale"), ("detail_preservation", "mask_influence"),
                            ("difference_threshold", "difference_contrast")):  # fmt: skip
            with gr.Row():
                form.place(f"soft.{left}", elem_id=f"{name}_{left}", min_width=140)
                form.place(f"soft.{right}", elem_id=f"{name}_{right}", min_width=140)


def scripts(panel: Panel, app: App) -> None:
    """Where extensions put their controls; the first that answers owns the place."""
    with gr.Column(elem_id=f"{panel.tab}_script_container", elem_classes=["script-container"]):
        areas = [a for a in app.plugins.relay.script_controls(app=app, tab=panel.tab) if a is not None]
        panel.area = areas[0] if areas else None
