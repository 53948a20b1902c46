"""Pattern: the spellings of Gradio 3."""

import gradio as gr

from modules import scripts, ui_components
from modules.ui import create_refresh_button, gr_show

handlers = {}


class OwnButton(ui_components.FormComponent, gr.Button):
    def __init__(self, size_of=(1, 1), **kwargs):
        super().__init__(**kwargs)
        self.size_of = size_of

    def get_block_name(self):
        return "button"


class Script(scripts.Script):
    def title(self):
        return "Old spellings"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def ui(self, is_img2img):
        with gr.Box(), ui_components.FormRow(variant="compact"):
            hidden = gr.Textbox(visible=False, elem_id=self.elem_id("channel"))
            choice = gr.Dropdown(label="Choice", choices=["a", "b"], type="value")
            amount = gr.Slider(0, 10, 3, step=1, label="Amount", tooltip="how much", elem_classes={"wide"})
            picture = gr.Image(source="upload", type="pil", label="Picture", tool="editor")
            button = OwnButton(size_of=(3, 4), value="Own", variant="tool", elem_id=self.elem_id("own"))
            create_refresh_button(choice, lambda: None, lambda: {"choices": ["c"]}, self.elem_id("refresh"))
            gallery = gr.Gallery(label="Gallery").style(grid=[2], height="auto")
        with ui_components.InputAccordion(False, label="Switch", elem_id=self.elem_id("switch")) as switch:
            panel = gr.Column(visible=False)

        def show(value):
            return gr.Column.update(visible=value), gr_show(value), gr.Dropdown.update(choices=["x"], value="x")

        handlers["show"] = show
        button.click(fn=None, _js="sampleOwn", inputs=[amount], outputs=[amount])
        switch.change(fn=show, inputs=[switch], outputs=[panel, hidden, choice], show_progress=False)
        amount.release(fn=lambda v: v, _js="(v) => v", inputs=amount, outputs=[amount], queue=None).then(
            fn=None, _js="() => 1", inputs=None, outputs=None
        )
        return [hidden, choice, amount, picture, switch, gallery, gr.State({"kept": object()})]
