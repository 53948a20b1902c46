"""A script of the Extras tab in the manner of A1111's extensions: tints the picture, and makes a copy."""

import gradio as gr
from PIL import Image

from modules import scripts_postprocessing
from modules.ui_components import FormRow, InputAccordion


class Tint(scripts_postprocessing.ScriptPostprocessing):
    name = "Tint"
    order = 1500

    def ui(self):
        with InputAccordion(False, label="Tint", elem_id="extras_tint") as enable:
            with FormRow():
                amount = gr.Slider(label="Amount", minimum=0, maximum=1, step=0.1, value=0.5, elem_id=self.elem_id("n"))
        return {"enable": enable, "amount": amount}

    def process_firstpass(self, pp: scripts_postprocessing.PostprocessedImage, enable, amount):
        pp.info["seen first"] = str(pp.image.size)

    def process(self, pp: scripts_postprocessing.PostprocessedImage, enable, amount):
        if not enable:
            return
        copy = pp.create_copy(pp.image.rotate(180), nametags=["turned"], disable_processing=True)
        pp.image = Image.blend(pp.image, Image.new("RGB", pp.image.size, "red"), amount)
        pp.info["Tint"] = amount
        pp.extra_images.append(copy)


class Broken(scripts_postprocessing.ScriptPostprocessing):
    name = "Broken"
    order = 1600

    def process(self, pp):
        raise RuntimeError("this one fails")
