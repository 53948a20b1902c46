"""The accordion of guidance methods, in both generation tabs."""

from __future__ import annotations

import gradio as gr

from atelier.web.panel import Panel


def guidance_accordion(panel: Panel) -> None:
    """Everything in it is off until someone moves it."""
    form, tab = panel.form, panel.tab

    def row(*names: str) -> None:
        with gr.Row():
            for name in names:
                form.place(f"guidance.{name}", min_width=170)

    with gr.Accordion("Guidance", open=False, elem_id=f"{tab}_guidance", elem_classes=["guidance"]):
        row("rescale", "pag_scale")
        row("seg_scale", "sag_scale")
        with gr.Accordion("Attention: PAG, SEG and SAG", open=False, elem_id=f"{tab}_guidance_attention"):
            row("layers", "seg_sigma")
            row("sag_sigma", "sag_threshold")
            row("start", "end")
        with gr.Accordion("FreeU", open=False, elem_id=f"{tab}_guidance_freeu"):
            row("freeu", "freeu_version")
            row("freeu_b1", "freeu_b2")
            row("freeu_s1", "freeu_s2")
        with gr.Accordion("Adaptive projected guidance", open=False, elem_id=f"{tab}_guidance_apg"):
            row("apg", "apg_eta")
            row("apg_threshold", "apg_momentum")
        with gr.Accordion("Dynamic thresholding (CFG scale fix)", open=False, elem_id=f"{tab}_guidance_dynthres"):
            row("threshold")
            row("mimic_scale", "phi")
            row("percentile")
            row("mimic_mode", "cfg_mode")
            row("mimic_min")
            row("cfg_min")
            row("mode_value", "separate")
            row("startpoint", "variability")
