"""Hires fix: the first pass, or a finished picture, is enlarged and refined by a second pass."""

from __future__ import annotations

from types import MappingProxyType

import torch
import torch.nn.functional as F
from PIL import Image

from atelier.base.errors import BadRequest, Interrupted
from atelier.base.events import StageChanged
from atelier.imaging.decode import flatten
from atelier.params.request import GenerationRequest
from atelier.pipeline.beside import feed_beside
from atelier.pipeline.decode import decode
from atelier.pipeline.encode import encode_pass
from atelier.pipeline.finish import to_image
from atelier.pipeline.latents import encode_picture, encoder_lease
from atelier.pipeline.models import same_latents
from atelier.pipeline.networks import use_networks
from atelier.pipeline.plan import hires_target
from atelier.pipeline.sample import picture_noise, plan_pass, sample_pass
from atelier.pipeline.save import save_before
from atelier.pipeline.state import Batch, Pass, Run
from atelier.pipeline.watching import watch_of
from atelier.sampling.session import SamplingPlan

#: side of a picture that still has a latent cell
SMALLEST = 8
#: how latents are enlarged without a trip through the VAE: mode and antialias of torch's interpolate
LATENT_MODES = MappingProxyType({
    "Latent": ("bilinear", False),
    "Latent (antialiased)": ("bilinear", True),
    "Latent (bicubic)": ("bicubic", False),
    "Latent (bicubic antialiased)": ("bicubic", True),
    "Latent (nearest)": ("nearest", False),
    "Latent (nearest-exact)": ("nearest-exact", False),
})  # fmt: skip


def with_picture(run: Run, request: GenerationRequest) -> GenerationRequest:
    """A finished picture takes the place of the first pass: the request gets its size, and makes one picture."""
    run.notes.pop("picture", None)
    ref = request.hires.image
    if ref is None or not request.hires.enabled or request.kind != "txt2img":
        return request
    picture = flatten(run.services.blobs.image(ref, "hires.image"), run.settings.img2img_background_color)
    if min(picture.size) < SMALLEST:
        raise BadRequest("hires.image", f"a picture of {picture.width} x {picture.height} is too small.")
    run.notes["picture"] = picture
    run.infotext["Original Size"] = f"{request.size.width}x{request.size.height}"
    size = {"size.width": picture.width, "size.height": picture.height}
    return request.with_values(**size, **{"batch.count": 1, "batch.size": 1})


def finished_pass(first: Pass) -> Pass:
    """The second pass; the first one where a person stopped before the second had anything to show."""
    try:
        return hires_pass(first)
    except Interrupted as stop:
        if stop.mode == "cancel":
            raise
        first.model = first.batch.run.model if first.latents is None else first.model
        first.latents = _latents_of(first) if first.latents is None else first.latents
        return first


def second_plan(batch: Batch) -> SamplingPlan:
    """The steps of the second pass: its own number, or as many as the first has, whatever its strength."""
    run = batch.run
    hires, sampling = run.request.hires, run.request.sampling
    scheduler = hires.scheduler or (sampling.scheduler if not hires.sampler else "Automatic")
    return plan_pass(
        batch, hires.sampler or sampling.sampler, scheduler, hires.steps or sampling.steps, hires.denoising_strength,
        True, run.hires_model,
    )  # fmt: skip


def hires_pass(first: Pass) -> Pass:
    """The finished second pass. Its noise comes from the same seeds, at the new size."""
    batch, run = first.batch, first.batch.run
    hires, sampling, model = run.request.hires, run.request.sampling, run.hires_model
    second = Pass(
        batch, "hires", 0, 0,
        prompts=list(batch.hires_prompts), negatives=list(batch.hires_negatives), model=model,
        plan=second_plan(batch), noise=None, cfg_scale=hires.cfg_scale or first.cfg_scale,
        steps=hires.steps or sampling.steps,
        notes={"first_calls": first.plan.prompt_calls},
    )  # fmt: skip
    run.publish(StageChanged(job=run.job, stage="enlarging"))
    second.source = enlarge(first, second)
    second.height, second.width = (side * model.latent.factor for side in second.source.shape[-2:])
    second.noise = picture_noise(batch, second.width, second.height, model)
    feed_beside(second, [])
    if run.settings.hires_fix_use_firstpass_conds:
        second.conditioning = encode_pass(second, second.prompts, second.negatives)
    use_networks(batch, batch.hires_tags, hires=True, model=model)
    run.services.hooks.before_second_pass(sampling_pass=second)
    run.publish(StageChanged(job=run.job, stage="refining"))
    # With strength 0 there is nothing to refine; clients rely on getting the enlarged picture.
    second.latents = sample_pass(second) if hires.denoising_strength > 0 else second.source
    return second


def enlarge(first: Pass, second: Pass) -> torch.Tensor:  # [B, C, h', w']
    """The first pass at the target size, as latents of the second pass's model. Raises `BadRequest` for an unknown
    upscaler, and for latents that mean nothing to the second model."""
    run = first.batch.run
    hires, latent = run.request.hires, second.model.latent
    (width, height), (crop_x, crop_y) = hires_target(
        first.width, first.height, hires.scale, hires.resize_x, hires.resize_y, latent.factor
    )
    width, height = (max(latent.factor, side // latent.factor * latent.factor) for side in (width, height))
    second.width, second.height = width, height
    if hires.upscaler in LATENT_MODES:
        latents = _through_latents(first, second)
    else:
        latents = _through_pixels(first, second)
    if crop_x or crop_y:
        left, top = crop_x // 2, crop_y // 2
        latents = latents[:, :, top : latents.shape[2] - (crop_y - top), left : latents.shape[3] - (crop_x - left)]
    return latents


def _through_latents(first: Pass, second: Pass) -> torch.Tensor:  # [B, C, h', w']
    run, factor = first.batch.run, second.model.latent.factor
    if not same_latents(first.model, second.model):
        raise BadRequest(
            "hires.checkpoint", f"{second.model.file.stem} works on other latents than {first.model.file.stem}.",
            remedy="Choose an upscaler that is not a latent one.",
        )  # fmt: skip
    if run.settings.save_images_before_highres_fix and "picture" not in run.notes:
        save_before(first.batch, [to_image(one) for one in decode(run, first.latents, first.model)])
    mode, antialias = LATENT_MODES[run.request.hires.upscaler]
    extra = {"antialias": antialias} if mode in ("bilinear", "bicubic") else {}
    size = (second.height // factor, second.width // factor)
    return F.interpolate(_latents_of(first), size=size, mode=mode, **extra)


def _latents_of(first: Pass) -> torch.Tensor:  # [B, C, h, w]
    """Of a finished picture they are made now."""
    if first.latents is None:
        picture = first.batch.run.notes["picture"]
        with encoder_lease(first, first.width, first.height):
            first.latents = torch.cat([encode_picture(first, picture, seed) for seed in first.batch.seeds])
    return first.latents


def _through_pixels(first: Pass, second: Pass) -> torch.Tensor:  # [B, C, h', w']
    run, batch = first.batch.run, first.batch
    upscaler = run.services.upscalers.get(run.request.hires.upscaler, "hires.upscaler")
    images = _images_of(first)
    if run.settings.save_images_before_highres_fix and "picture" not in run.notes:
        save_before(batch, images)
    images = [upscaler.to(image, second.width, second.height, watch_of(run)) for image in images]
    with encoder_lease(second, second.width, second.height):
        encoded = [encode_picture(second, i, seed) for i, seed in zip(images, batch.seeds, strict=True)]
    return torch.cat(encoded)


def _images_of(first: Pass) -> list[Image.Image]:
    run = first.batch.run
    if "picture" in run.notes:
        return [run.notes["picture"]] * len(first.batch.seeds)
    return [to_image(one) for one in decode(run, first.latents, first.model)]
