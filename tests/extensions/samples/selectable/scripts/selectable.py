"""Pattern: a script of the dropdown that makes several pictures with process_images."""

import copy

import gradio as gr

import modules.scripts as scripts
from modules import images
from modules.processing import Processed, fix_seed, process_images
from modules.shared import state


class Script(scripts.Script):
    def title(self):
        return "Sample loop"

    def show(self, is_img2img):
        return True

    def ui(self, is_img2img):
        return [gr.Slider(1, 4, 2, step=1, label="Loops"), gr.Checkbox(label="Nothing", value=False)]

    def run(self, p, loops, nothing):
        if nothing:
            return None
        fix_seed(p)
        state.job_count = int(loops)
        found, infotexts = [], []
        for loop in range(int(loops)):
            inner = copy.copy(p)
            inner.prompt = f"{p.prompt}, loop {loop}"
            inner.seed = p.seed + loop
            inner.batch_size = inner.n_iter = 1
            inner.do_not_save_grid = True
            processed = process_images(inner)
            found.append(processed.images[0])
            infotexts.append(processed.info)
            last = processed
        grid = images.image_grid(found, batch_size=1, rows=1)
        return Processed(p, [grid, *found], p.seed, infotexts[0], infotexts=[infotexts[0], *infotexts],
                         index_of_first_image=1, all_prompts=[last.prompt] * len(found))  # fmt: skip
