"""The parameters of a picture as text, and the facts of a run that A1111 clients read beside the pictures."""

from __future__ import annotations

from typing import Any

from atelier.params.infotext import write_infotext
from atelier.params.request import GenerationRequest
from atelier.pipeline.state import Frame, PlannedPicture, Run
from atelier.pipeline.sample import effective_sampler

FILL_WORDS = ("fill", None, "latent noise", "latent nothing")


def describe(run: Run, picture: PlannedPicture, extra: dict[str, Any] | None = None) -> str:
    """The infotext of one picture: its full prompt with network tags, and every setting that differs from neutral."""
    return write_infotext(picture.prompt, picture.negative, _head(run, picture), {**_extras(run), **(extra or {})})


def describe_frame(frame: Frame) -> str:
    """A frame's prompts may have been changed by hooks of its batch; its planned picture still holds the tags."""
    pictures = frame.batch.pictures
    planned = pictures[min(frame.position, len(pictures) - 1)]
    picture = PlannedPicture(
        planned.index, frame.seed, frame.subseed, planned.prompt, planned.negative,
        planned.hires_prompt, planned.hires_negative,
    )  # fmt: skip
    return describe(frame.batch.run, picture, frame.infotext)


def _head(run: Run, picture: PlannedPicture) -> dict[str, Any]:
    """The fixed keys in their fixed order; None leaves a key out."""
    request, settings, model = run.request, run.settings, run.model
    sampler, schedule = effective_sampler(run)
    varied = request.seed.subseed_strength != 0
    resized = request.seed.resize_from_w > 0 and request.seed.resize_from_h > 0
    clip_skip = settings.CLIP_stop_at_last_layers
    tiling = settings.tiling if request.output.tiling is None else request.output.tiling
    eta = request.sampling.eta
    eta = settings.eta_ancestral if eta is None else eta
    file, vae = model.file, model.vae_file
    return {
        "Steps": request.sampling.steps,
        "Sampler": sampler.name,
        "Schedule type": schedule,
        "CFG scale": request.sampling.cfg_scale,
        "Image CFG scale": request.source.image_cfg_scale if request.kind == "img2img" else None,
        "Seed": picture.seed,
        "Size": f"{run.plan.width}x{run.plan.height}",
        "Model hash": (file.short or None) if settings.add_model_hash_to_info else None,
        "Model": file.name if settings.add_model_name_to_info else None,
        "VAE hash": vae.short if vae is not None and settings.add_vae_hash_to_info else None,
        "VAE": vae.name if vae is not None and settings.add_vae_name_to_info else None,
        "Variation seed": picture.subseed if varied else None,
        "Variation seed strength": request.seed.subseed_strength if varied else None,
        "Seed resize from": f"{request.seed.resize_from_w}x{request.seed.resize_from_h}" if resized else None,
        "Denoising strength": _strength(request),
        "Conditional mask weight": settings.inpainting_mask_weight if model.is_inpainting else None,
        "Clip skip": clip_skip if clip_skip > 1 else None,
        "ENSD": settings.eta_noise_seed_delta if sampler.uses_ensd and eta and settings.eta_noise_seed_delta else None,
        "RNG": settings.randn_source if settings.randn_source != "GPU" else None,
        "Tiling": "True" if tiling else None,
    }


def _strength(request: GenerationRequest) -> float | None:
    if request.kind == "img2img":
        return request.source.denoising_strength
    return request.hires.denoising_strength if request.hires.enabled else None


def _extras(run: Run) -> dict[str, Any]:
    """Keys in the order in which A1111 writes them; what an extension put into `run.infotext` follows."""
    request = run.request
    extras: dict[str, Any] = {}
    if request.hires.enabled and request.kind == "txt2img":
        extras |= _hires_keys(request)
    if request.inpainting:
        extras |= _mask_keys(request)
    extras |= _settings_keys(run)
    version = {"Version": run.services.version} if run.settings.add_version_to_infotext else {}
    return {**extras, **run.infotext, **version}


def _hires_keys(request: GenerationRequest) -> dict[str, Any]:
    hires = request.hires
    sized = bool(hires.resize_x or hires.resize_y)
    prompts = {"Hires prompt": hires.prompt or None, "Hires negative prompt": hires.negative or None}
    return {
        "Hires checkpoint": hires.checkpoint,
        "Hires sampler": hires.sampler,
        "Hires schedule type": hires.scheduler,
        **prompts,
        "Hires upscale": None if sized else hires.scale,
        "Hires resize": f"{hires.resize_x}x{hires.resize_y}" if sized else None,
        "Hires steps": hires.steps or None,
        "Hires upscaler": hires.upscaler,
    }


def _mask_keys(request: GenerationRequest) -> dict[str, Any]:
    mask = request.mask
    return {
        "Mask blur": mask.blur_x,
        "Mask mode": "Inpaint not masked" if mask.invert else None,
        "Inpaint area": "Only masked" if mask.only_masked else None,
        "Masked area padding": mask.padding if mask.only_masked else None,
        "Masked content": FILL_WORDS[mask.fill],
    }


def _settings_keys(run: Run) -> dict[str, Any]:
    """Settings that change a picture and are not at their neutral value, under their declared infotext names."""
    written: dict[str, Any] = {}
    own = run.request.sampling
    for key, neutral in NEUTRAL:
        declaration = run.services.declarations.get(key)
        value = getattr(own, key, None) if hasattr(own, key) else None
        value = run.settings[key] if value is None else value
        if declaration is not None and value != neutral:
            written[declaration.param.infotext] = value
    brackets = any(c in run.request.prompt.positive + run.request.prompt.negative for c in "()[]")
    if run.settings.emphasis != "Original" and brackets:
        written["Emphasis"] = run.settings.emphasis
    eta = run.settings.eta_ancestral if own.eta is None else own.eta
    if eta != 1:
        written["Eta"] = eta
    if run.settings.sd_noise_schedule != "Default":
        written["Noise Schedule"] = run.settings.sd_noise_schedule
    return written


#: settings that are written when they differ from this
NEUTRAL = (
    ("s_churn", 0), ("s_tmin", 0), ("s_tmax", 0), ("s_noise", 1), ("sigma_min", 0), ("sigma_max", 0), ("rho", 0),
    ("always_discard_next_to_last_sigma", False), ("sgm_noise_multiplier", False), ("s_min_uncond", 0),
    ("s_min_uncond_all", False), ("skip_early_cond", 0), ("pad_cond_uncond", False), ("use_old_scheduling", False),
    ("img2img_extra_noise", 0), ("eta_ddim", 0),
)  # fmt: skip


def result_info(run: Run) -> dict[str, Any]:
    """What `info` of `/sdapi/v1/txt2img` holds."""
    request, model, plan = run.request, run.model, run.plan
    pictures = plan.pictures
    first = pictures[0] if pictures else None
    grids = sum(p.role == "grid" for p in run.pictures)
    sampler, _ = effective_sampler(run)
    return {
        "prompt": first.prompt if first else "",
        "all_prompts": [p.prompt for p in pictures],
        "negative_prompt": first.negative if first else "",
        "all_negative_prompts": [p.negative for p in pictures],
        "seed": first.seed if first else -1,
        "all_seeds": [p.seed for p in pictures],
        "subseed": first.subseed if first else -1,
        "all_subseeds": [p.subseed for p in pictures],
        "subseed_strength": request.seed.subseed_strength,
        "width": plan.width,
        "height": plan.height,
        "sampler_name": sampler.name,
        "cfg_scale": float(request.sampling.cfg_scale),
        "steps": request.sampling.steps,
        "batch_size": request.batch.size,
        "restore_faces": bool(request.output.restore_faces),
        "face_restoration_model": None,
        "sd_model_name": model.file.name,
        "sd_model_hash": model.file.short,
        "sd_vae_name": model.vae_file.name if model.vae_file else None,
        "sd_vae_hash": model.vae_file.short if model.vae_file else None,
        "seed_resize_from_w": request.seed.resize_from_w,
        "seed_resize_from_h": request.seed.resize_from_h,
        "denoising_strength": _strength(request),
        "extra_generation_params": {k: v for k, v in _extras(run).items() if v is not None and k != "Version"},
        "index_of_first_image": grids,
        "infotexts": [p.infotext for p in run.pictures],
        "styles": list(request.prompt.styles),
        "job_timestamp": run.timestamp,
        "clip_skip": run.settings.CLIP_stop_at_last_layers,
        "is_using_inpainting_conditioning": model.is_inpainting,
        "version": run.services.version,
    }
