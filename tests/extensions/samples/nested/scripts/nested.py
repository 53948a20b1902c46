"""Pattern: each finished picture goes through img2img once more, with a filtered copy of the scripts."""

from copy import copy

from modules import scripts
from modules.processing import StableDiffusionProcessingImg2Img, process_images

depth = []


class Script(scripts.Script):
    def title(self):
        return "Sample detail"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def postprocess_image(self, p, pp, *args):
        if getattr(p, "_sample_inner", False) or "detail" not in p.prompt:
            return
        inner = StableDiffusionProcessingImg2Img(
            init_images=[pp.image], resize_mode=0, denoising_strength=0.4, prompt="better eyes",
            negative_prompt=p.negative_prompt, seed=p.seed, steps=2, cfg_scale=p.cfg_scale, width=p.width,
            height=p.height, sampler_name=p.sampler_name, batch_size=1, n_iter=1, do_not_save_samples=True,
            do_not_save_grid=True, outpath_samples=p.outpath_samples, override_settings=p.override_settings,
        )  # fmt: skip
        inner._sample_inner = True
        inner.scripts = copy(p.scripts)
        inner.scripts.alwayson_scripts = [s for s in p.scripts.alwayson_scripts if s.title() == self.title()]
        inner.script_args = list(p.script_args)
        processed = process_images(inner)
        depth.append((processed.prompt, processed.images[0].size))
        pp.image = processed.images[0]
        p.extra_generation_params["Sample detail"] = "done"
