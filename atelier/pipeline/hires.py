"""Hires fix: the first pass is enlarged and refined by a second one."""

from __future__ import annotations

from types import MappingProxyType

import torch
import torch.nn.functional as F
from PIL import Image

from atelier.base.events import StageChanged
from atelier.pipeline.beside import feed_beside
from atelier.pipeline.decode import decode
from atelier.pipeline.latents import encode_picture, encoder_lease
from atelier.pipeline.networks import use_networks
from atelier.pipeline.plan import hires_target
from atelier.pipeline.sample import picture_noise, plan_pass, sample_pass
from atelier.pipeline.state import Pass

#: how latents are enlarged without a trip through the VAE: mode and antialias of torch's interpolate
LATENT_MODES = MappingProxyType({
    "Latent": ("bilinear", False),
    "Latent (antialiased)": ("bilinear", True),
    "Latent (bicubic)": ("bicubic", False),
    "Latent (bicubic antialiased)": ("bicubic", True),
    "Latent (nearest)": ("nearest", False),
    "Latent (nearest-exact)": ("nearest-exact", False),
})  # fmt: skip


def hires_pass(first: Pass) -> Pass:
    """The finished second pass. Its noise comes from the same seeds, at the new size."""
    batch, run = first.batch, first.batch.run
    hires = run.request.hires
    sampling = run.request.sampling
    run.publish(StageChanged(job=run.job, stage="enlarging"))
    source = enlarge(first)
    use_networks(batch, batch.hires_tags, hires=True)
    width, height = (source.shape[-1] * run.model.latent.factor, source.shape[-2] * run.model.latent.factor)
    steps = hires.steps or sampling.steps
    scheduler = hires.scheduler or (sampling.scheduler if not hires.sampler else "Automatic")
    plan = plan_pass(batch, hires.sampler or sampling.sampler, scheduler, steps, hires.denoising_strength, True)
    second = Pass(
        batch, "hires", width, height,
        prompts=list(batch.hires_prompts), negatives=list(batch.hires_negatives), model=run.model, plan=plan,
        noise=picture_noise(batch, width, height), cfg_scale=first.cfg_scale, steps=steps, source=source,
        notes={"first_calls": first.plan.prompt_calls},
    )  # fmt: skip
    feed_beside(second, [])
    run.services.hooks.before_second_pass(sampling_pass=second)
    run.publish(StageChanged(job=run.job, stage="refining"))
    # With strength 0 there is nothing to refine; clients rely on getting the enlarged picture.
    second.latents = sample_pass(second) if hires.denoising_strength > 0 else source
    return second


def enlarge(first: Pass) -> torch.Tensor:  # [B, C, h', w']
    """The latents of the first pass at the target size. Raises `BadRequest` for an unknown upscaler."""
    run = first.batch.run
    hires, latent = run.request.hires, run.model.latent
    (width, height), (crop_x, crop_y) = hires_target(
        first.width, first.height, hires.scale, hires.resize_x, hires.resize_y, latent.factor
    )
    width, height = (max(latent.factor, side // latent.factor * latent.factor) for side in (width, height))
    if hires.upscaler in LATENT_MODES:
        mode, antialias = LATENT_MODES[hires.upscaler]
        size = (height // latent.factor, width // latent.factor)
        extra = {"antialias": antialias} if mode in ("bilinear", "bicubic") else {}
        latents = F.interpolate(first.latents, size=size, mode=mode, **extra)
    else:
        latents = _through_pixels(first, width, height)
    if crop_x or crop_y:
        left, top = crop_x // 2, crop_y // 2
        latents = latents[:, :, top : latents.shape[2] - (crop_y - top), left : latents.shape[3] - (crop_x - left)]
    return latents


def _through_pixels(first: Pass, width: int, height: int) -> torch.Tensor:
    run = first.batch.run
    upscaler = run.services.upscalers.get(run.request.hires.upscaler, "hires.upscaler")
    pixels = (decode(run, first.latents).permute(0, 2, 3, 1) * 255).to(torch.uint8).numpy()
    images = [upscaler.enlarge(Image.fromarray(picture), width, height) for picture in pixels]
    with encoder_lease(run, width, height):
        encoded = [encode_picture(first, i, seed) for i, seed in zip(images, first.batch.seeds, strict=True)]
    return torch.cat(encoded)
