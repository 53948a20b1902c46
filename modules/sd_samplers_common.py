"""`modules.sd_samplers_common`: latents as pictures; really in modules/_host/sampler_common.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType(
    {
        "approximation_indexes": "modules._host.sampler_common:approximation_indexes",
        "InterruptedException": "modules._host.sampler_common:InterruptedException",
        "samples_to_images_tensor": "modules._host.sampler_common:samples_to_images_tensor",
        "single_sample_to_image": "modules._host.sampler_common:single_sample_to_image",
        "sample_to_image": "modules._host.sampler_common:sample_to_image",
        "samples_to_image_grid": "modules._host.sampler_common:samples_to_image_grid",
        "decode_first_stage": "modules._host.sampler_common:decode_first_stage",
        "store_latent": "modules._host.sampler_common:store_latent",
        "setup_img2img_steps": "modules._host.sampler_common:setup_img2img_steps",
        "apply_refiner": "modules._host.sampler_common:apply_refiner",
        "images_tensor_to_samples": "modules._host.sampler_common:images_tensor_to_samples",
        "SamplerData": "modules._host.samplers:SamplerData",
        "Sampler": "modules._host.sampler_view:SamplerView",
    }
)

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
