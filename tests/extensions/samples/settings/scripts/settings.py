"""Pattern: options in a section of their own, read at import time and in process."""

import gradio as gr

from modules import script_callbacks, scripts, shared


def on_ui_settings():
    section = ("sample_settings", "Sample settings")
    shared.opts.add_option(
        "sample_word", shared.OptionInfo("bright", "Word to add", section=section).info("at the end")
    )
    shared.opts.add_option(
        "sample_weight",
        shared.OptionInfo(1, "Weight", gr.Slider, {"minimum": 0, "maximum": 2, "step": 0.1}, section=section),
    )
    shared.opts.add_option(
        key="sample_list",
        info=shared.OptionInfo(["a"], "List", gr.CheckboxGroup, lambda: {"choices": ["a", "b"]}, section=section),
    )


class Script(scripts.Script):
    def title(self):
        return "Sample settings"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def process(self, p, *args):
        p.all_prompts = [f"{prompt}, {shared.opts.sample_word}" for prompt in p.all_prompts]
        p.extra_generation_params["Sample weight"] = getattr(shared.opts, "sample_weight", 0)
        p.extra_generation_params["Sample missing"] = shared.opts.data.get("sample_missing", "none")


script_callbacks.on_ui_settings(on_ui_settings)
