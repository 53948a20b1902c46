"""Pattern: an always-on script with controls that notes every moment of a run."""

import gradio as gr

from modules import scripts
from modules.processing import StableDiffusionProcessing

log = []


class Script(scripts.Script):
    def title(self):
        return "Sample Always"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def ui(self, is_img2img):
        with gr.Accordion("Sample", open=False):
            enabled = gr.Checkbox(label="Enabled", value=False, elem_id=self.elem_id("enabled"))
            word = gr.Textbox(label="Word")
            mode = gr.Radio(["one", "two", "three"], value="two", label="Mode", type="index")
        self.infotext_fields = [(word, "Sample word")]
        return [enabled, word, mode]

    def note(self, moment, p, enabled):
        assert isinstance(p, StableDiffusionProcessing)
        if enabled:
            log.append(moment)

    def setup(self, p, enabled, word, mode):
        self.note("setup", p, enabled)

    def before_process(self, p, enabled, word, mode):
        self.note("before_process", p, enabled)
        if enabled and word == "wider":
            p.width = 128

    def process(self, p, enabled, word, mode):
        self.note("process", p, enabled)
        if enabled:
            p.all_prompts = [f"{prompt}, {word}" for prompt in p.all_prompts]
            p.extra_generation_params["Sample word"] = word
            p.extra_generation_params["Sample mode"] = mode
            p.extra_generation_params["Sample index"] = [f"no {i}" for i in range(len(p.all_prompts))]
            p.extra_generation_params["Sample seed"] = lambda p, index, **kwargs: p.all_seeds[index]

    def before_process_batch(self, p, enabled, word, mode, batch_number, prompts, seeds, subseeds):
        self.note("before_process_batch", p, enabled)
        assert prompts is p.prompts and len(seeds) == len(prompts)

    def after_extra_networks_activate(self, p, enabled, word, mode, **kwargs):
        self.note("after_extra_networks_activate", p, enabled)
        if enabled:
            log.append(sorted(kwargs["extra_network_data"]))

    def process_batch(self, p, enabled, word, mode, **kwargs):
        self.note("process_batch", p, enabled)
        assert "<" not in kwargs["prompts"][0]

    def before_hr(self, p, enabled, word, mode):
        self.note("before_hr", p, enabled)

    def process_before_every_sampling(self, p, enabled, word, mode, x, noise, c, uc):
        self.note("process_before_every_sampling", p, enabled)
        assert x.shape == noise.shape and c.shape[-1] == uc.shape[-1]

    def on_mask_blend(self, p, mba, enabled, word, mode):
        if enabled and (not log or log[-1] != "on_mask_blend"):
            log.append("on_mask_blend")

    def post_sample(self, p, ps, enabled, word, mode):
        self.note("post_sample", p, enabled)

    def postprocess_batch(self, p, enabled, word, mode, images, batch_number):
        self.note("postprocess_batch", p, enabled)
        assert 0 <= float(images.min()) and float(images.max()) <= 1

    def postprocess_batch_list(self, p, pp, enabled, word, mode, batch_number):
        self.note("postprocess_batch_list", p, enabled)
        assert len(pp.images) == len(p.prompts)

    def postprocess_image(self, p, pp, enabled, word, mode):
        self.note("postprocess_image", p, enabled)
        if enabled and word == "flip":
            pp.image = pp.image.transpose(0)

    def postprocess_maskoverlay(self, p, ppmo, enabled, word, mode):
        self.note("postprocess_maskoverlay", p, enabled)

    def postprocess_image_after_composite(self, p, pp, enabled, word, mode):
        self.note("postprocess_image_after_composite", p, enabled)

    def postprocess(self, p, processed, enabled, word, mode):
        self.note("postprocess", p, enabled)
        if enabled and word == "twice":
            processed.images.append(processed.images[0].copy())
            processed.infotexts.append("a copy")
