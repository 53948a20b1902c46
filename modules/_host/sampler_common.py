"""`modules.sd_samplers_common`: latents as pictures, step counts, and names that samplers of extensions build on."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image

from atelier.imaging.grid import grid_shape, make_grid
from atelier.pipeline.finish import to_image
from atelier.sampling.session import STRONGEST
from modules._host.approximations import cheap_approximation, decoder_model
from modules._host.attach import host
from modules._host.latents import images_tensor_to_samples as images_tensor_to_samples

#: how latents become pictures, by A1111's numbers
approximation_indexes = MappingProxyType({"Full": 0, "Approx NN": 1, "Approx cheap": 2, "TAESD": 3})
FULL, ROUGH, CHEAP, TINY = range(4)


class InterruptedException(BaseException):
    """What samplers of A1111 end with when they are stopped."""


def samples_to_images_tensor(
    sample: torch.Tensor, approximation: int | None = None, model: Any = None
) -> torch.Tensor:  # scaled [B, C, h, w] -> [B, 3, H, W] in -1..1; by the cheap way smaller  # fmt: skip
    """`approximation` is one of `approximation_indexes`; None takes the method of the live previews."""
    how = approximation_indexes[host().options.show_progress_type] if approximation is None else approximation
    small = decoder_model() if how in (ROUGH, TINY) else None
    with torch.no_grad():
        if small is not None:
            return small(F.avg_pool2d(sample, 2) if how == ROUGH else sample) * 2 - 1
        if how == FULL:
            return (model if model is not None else host().model_view()).decode_first_stage(sample)
        return torch.stack([cheap_approximation(one) for one in sample])


def single_sample_to_image(sample: torch.Tensor, approximation: int | None = None) -> Image.Image:
    """Of one picture's latents, [C, h, w]."""
    return to_image((samples_to_images_tensor(sample[None], approximation)[0] + 1) / 2)


def sample_to_image(samples: torch.Tensor, index: int = 0, approximation: int | None = None) -> Image.Image:
    return single_sample_to_image(samples[index], approximation)


def samples_to_image_grid(samples: torch.Tensor, approximation: int | None = None) -> Image.Image:
    images = [single_sample_to_image(sample, approximation) for sample in samples]
    return make_grid(images, *grid_shape(len(images)))


def decode_first_stage(model: Any, x: torch.Tensor) -> torch.Tensor:  # scaled [B, C, h, w] -> [B, 3, H, W] in -1..1
    return samples_to_images_tensor(x, FULL, model)


def store_latent(decoded: torch.Tensor) -> None:
    """The latents that `shared.state` shows."""
    host().state.current_latent = decoded


def setup_img2img_steps(p: Any, steps: int | None = None) -> tuple[int, int]:
    """(steps of the whole schedule, how many of them are walked, less one)."""
    strength = min(p.denoising_strength, STRONGEST)
    if not host().options.img2img_fix_steps and steps is None:
        return p.steps, int(strength * p.steps)
    wanted = steps or p.steps
    return (int(wanted / strength) if p.denoising_strength > 0 else 0), wanted - 1


def apply_refiner(cfg_denoiser: Any, x: Any = None, sigma: Any = None) -> bool:
    """Whether the refiner has just taken over. The recipe sees to that itself before each call, so it is never now."""
    return False
