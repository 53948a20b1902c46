"""Latents and noise of `modules.processing`, over the open model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from atelier.sampling.noise import PictureNoise
from atelier.sampling.noise import slerp as mix
from modules._host.attach import host


def slerp(val: float, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    return mix(val, low, high)


def create_random_tensors(
    shape: Sequence[int], seeds: Sequence[int], subseeds: Sequence[int] | None = None, subseed_strength: float = 0.0,
    seed_resize_from_h: int = 0, seed_resize_from_w: int = 0, p: Any = None,
) -> torch.Tensor:  # [len(seeds), C, h, w]  # fmt: skip
    """The starting noise of each seed."""
    resized = seed_resize_from_h > 0 and seed_resize_from_w > 0
    return PictureNoise(
        tuple(shape), list(seeds), list(subseeds or ()), subseed_strength if subseeds else 0.0,
        resize_from=(seed_resize_from_h, seed_resize_from_w) if resized else (0, 0),
        source=host().options.randn_source,
    ).first()  # fmt: skip


class DecodedSamples(list):
    """Decoded pictures; `post_sample` may hand them over in the place of latents."""

    already_decoded = True


def decode_first_stage(model: Any, x: torch.Tensor) -> torch.Tensor:  # scaled [B, C, h, w] -> [B, 3, H, W] in -1..1
    return model.decode_first_stage(x)


def decode_latent_batch(
    model: Any, batch: torch.Tensor, target_device: Any = None, check_for_nans: bool = False
) -> DecodedSamples:
    """One picture after the other, each [3, H, W] in -1..1."""
    decoded = DecodedSamples()
    for one in batch:
        picture = decode_first_stage(model, one[None])[0]
        decoded.append(picture if target_device is None else picture.to(target_device))
    return decoded


def images_tensor_to_samples(image: torch.Tensor, approximation: Any = None, model: Any = None) -> torch.Tensor:
    """Pictures [B, 3, H, W] in 0..1 -> scaled latents."""
    view = model if model is not None else host().model_view()
    return view.encode_first_stage(image * 2 - 1)


def txt2img_image_conditioning(sd_model: Any, x: torch.Tensor, width: int, height: int) -> torch.Tensor:
    """What models without further inputs are fed: one zero for each picture."""
    return x.new_zeros(x.shape[0], 5, 1, 1)
