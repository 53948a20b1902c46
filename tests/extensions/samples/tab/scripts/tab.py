"""Pattern: a tab of its own, a route, a reader of components and of pasted text."""

import gradio as gr

from modules import script_callbacks

seen = []


def on_ui_tabs():
    with gr.Blocks(analytics_enabled=False) as page:
        with gr.Row():
            text = gr.Textbox(label="Text", elem_id="sample_tab_text")
            button = gr.Button("Go", elem_id="sample_tab_button")
        button.click(fn=lambda value: value.upper(), inputs=[text], outputs=[text])
    return ((page, "Sample tab", "sample_tab"),)


def on_app_started(demo, app):
    @app.get("/sample/ping")
    def ping():
        return {"pages": demo is not None}


def on_after_component(component, **kwargs):
    if kwargs.get("elem_id"):
        seen.append(kwargs["elem_id"])


def on_infotext_pasted(infotext, params):
    params["Sample pasted"] = len(infotext)


script_callbacks.on_ui_tabs(on_ui_tabs)
script_callbacks.on_app_started(on_app_started)
script_callbacks.on_after_component(on_after_component)
script_callbacks.on_infotext_pasted(on_infotext_pasted)
