"""`modules.processing`: the draft `p` and its run; really in modules/_host/processing.py and atelier/pipeline."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType({
    "StableDiffusionProcessing": "modules._host.processing:StableDiffusionProcessing",
    "StableDiffusionProcessingTxt2Img": "modules._host.processing:StableDiffusionProcessingTxt2Img",
    "StableDiffusionProcessingImg2Img": "modules._host.processing:StableDiffusionProcessingImg2Img",
    "Processed": "modules._host.processed:Processed", "process_images": "modules._host.generate:process_images",
    "process_images_inner": "modules._host.generate:process_images_inner",
    "fix_seed": "modules._host.generate:fix_seed", "get_fixed_seed": "modules._host.generate:get_fixed_seed",
    "create_infotext": "modules._host.generate:create_infotext", "opt_C": "modules._host.pixels:opt_C",
    "opt_f": "modules._host.pixels:opt_f", "create_binary_mask": "modules._host.pixels:create_binary_mask",
    "setup_color_correction": "modules._host.pixels:setup_color_correction",
    "apply_color_correction": "modules._host.pixels:apply_color_correction",
    "apply_overlay": "modules._host.pixels:apply_overlay", "uncrop": "modules._host.pixels:uncrop",
    "create_random_tensors": "modules._host.latents:create_random_tensors",
    "decode_latent_batch": "modules._host.latents:decode_latent_batch",
    "DecodedSamples": "modules._host.latents:DecodedSamples",
    "decode_first_stage": "modules._host.latents:decode_first_stage",
    "images_tensor_to_samples": "modules._host.latents:images_tensor_to_samples",
    "txt2img_image_conditioning": "modules._host.latents:txt2img_image_conditioning",
    "slerp": "modules._host.latents:slerp", "program_version": "modules._host.ui_pieces:program_version",
    "opts": "@options", "state": "@state", "shared": "modules.shared", "images": "modules.images",
    "devices": "modules.devices", "sd_samplers": "modules.sd_samplers", "sd_models": "modules.sd_models",
    "prompt_parser": "modules.prompt_parser", "extra_networks": "modules.extra_networks",
    "scripts": "modules.scripts", "errors": "modules.errors", "masking": "modules.masking", "Image": "PIL.Image",
    "ImageOps": "PIL.ImageOps", "np": "numpy", "torch": "torch", "random": "random", "os": "os", "math": "math",
    "json": "json", "modules": "modules",
})  # fmt: skip

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
