"""The parameters of a picture as text, and the facts of a run that A1111 clients read beside the pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from atelier.params.infotext import HEAD, infotext_fields, settings_fields, write_infotext
from atelier.params.replay import KEY as REPLAY
from atelier.params.request import USER_PART
from atelier.pipeline.conditions import conditions_text
from atelier.pipeline.guidance import merging_ratio
from atelier.pipeline.refiner import refined_passes
from atelier.pipeline.sample import effective_sampler
from atelier.pipeline.state import Frame, PlannedPicture, Run
from atelier.sampling.session import OLD_RANGE

#: key, and note of the run
SOURCE_HASH = "Init image hash"


def describe(run: Run, picture: PlannedPicture, extra: Mapping[str, Any] | None = None) -> str:
    """The infotext of one picture: its full prompt with network tags, and everything a reader would not assume."""
    more = {**_extras(run), **(extra or {}), **_conditions(run, picture)}
    return write_infotext(picture.prompt, picture.negative, _facts(run, picture), more)


def _conditions(run: Run, picture: PlannedPicture) -> dict[str, Any]:
    text = conditions_text(run, picture)
    return {REPLAY: text} if text else {}


def describe_frame(frame: Frame) -> str:
    """A frame's prompts may have been changed by hooks of its batch; its planned picture still holds the tags."""
    pictures = frame.batch.pictures
    planned = pictures[min(frame.position, len(pictures) - 1)]
    return describe(frame.batch.run, replace(planned, seed=frame.seed, subseed=frame.subseed), frame.infotext)


def _facts(run: Run, picture: PlannedPicture) -> dict[str, Any]:
    """What the request and the settings say, with what only the run knows in its place. None leaves a key out."""
    request, settings, model = run.request, run.settings, run.model
    sampler, schedule = effective_sampler(run)
    file, vae = model.file, model.vae_file
    varied = request.seed.subseed_strength != 0
    tiling = settings.tiling if request.output.tiling is None else request.output.tiling
    told = {**settings_fields(settings, prompt=picture.prompt + picture.negative), **infotext_fields(request)}
    own = {
        "Sampler": sampler.name,
        "Schedule type": schedule,
        "Seed": picture.seed,
        "Size": f"{run.plan.width}x{run.plan.height}",
        "Model hash": (file.short or None) if settings.add_model_hash_to_info else None,
        "Model": file.path.stem if settings.add_model_name_to_info else None,
        "FP8 weight": told.get("FP8 weight") if run.services.library.storage_of(model) else None,
        "VAE hash": vae.short if vae is not None and settings.add_vae_hash_to_info else None,
        "VAE": vae.name if vae is not None and settings.add_vae_name_to_info else None,
        "Variation seed": picture.subseed if varied else None,
        "Conditional mask weight": settings.inpainting_mask_weight if model.is_inpainting else None,
        "Tiling": "True" if tiling else None,
        "Token merging ratio": merging_ratio(run, hires=False) or None,
        "Token merging ratio hr": (merging_ratio(run, hires=True) or None) if run.plan.hires_width else None,
        **({} if model.edits else {"Image CFG scale": None}),
        SOURCE_HASH: run.notes.get(SOURCE_HASH),
        "VAE Encoder": run.notes.get("VAE Encoder"),
        "VAE Decoder": run.notes.get("VAE Decoder"),
        **_other_models(run),
        **({} if model.varies else {"Image noise level": None}),
        **({} if request.source.images else {"Color correction": None}),
        **(_old_range(told) if settings.use_old_karras_scheduler_sigmas else {}),
    }
    if not sampler.uses_ensd or not told.get("Eta", 1):
        own["ENSD"] = None
    return {**told, **own}


def _old_range(told: Mapping[str, Any]) -> dict[str, Any]:
    """The old range of sigma in the keys that every reader of infotext knows."""
    keys = ("Schedule min sigma", "Schedule max sigma")
    return {key: told.get(key) or sigma for key, sigma in zip(keys, OLD_RANGE)}


def _other_models(run: Run) -> dict[str, Any]:
    """Of refiner and hires checkpoint their short titles; what has no effect is not told."""
    told: dict[str, Any] = {}
    if run.hires_model is not run.model:
        told["Hires checkpoint"] = run.hires_model.file.short_title
    if not refined_passes(run):
        names = ("Refiner", "Refiner switch at", "Refiner switch by sampling steps", "Hires refiner")
        return {**told, **dict.fromkeys(names)}
    told["Refiner"] = run.refiner.file.short_title
    return told if run.plan.passes > 1 else {**told, "Hires refiner": None}


def _extras(run: Run) -> dict[str, Any]:
    """What extensions put into `run.infotext`, then the version and who asked."""
    version = {"Version": run.services.version} if run.settings.add_version_to_infotext else {}
    user = run.request.extras.get(USER_PART) if run.settings.add_user_name_to_info else None
    return {**run.infotext, **version, **({"User": user} if user else {})}


def result_info(run: Run) -> dict[str, Any]:
    """What `info` of `/sdapi/v1/txt2img` holds."""
    request, model, plan = run.request, run.model, run.plan
    pictures = plan.pictures
    first = pictures[0] if pictures else None
    grids = sum(p.role == "grid" for p in run.pictures)
    sampler, _ = effective_sampler(run)
    facts = _facts(run, first) if first else {}
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
        "restore_faces": bool(run.notes.get("Face restoration")),
        "face_restoration_model": run.settings.face_restoration_model if run.notes.get("Face restoration") else None,
        "sd_model_name": model.file.path.stem,
        "sd_model_hash": model.file.short,
        "sd_vae_name": model.vae_file.name if model.vae_file else None,
        "sd_vae_hash": model.vae_file.short if model.vae_file else None,
        "seed_resize_from_w": request.seed.resize_from_w,
        "seed_resize_from_h": request.seed.resize_from_h,
        "denoising_strength": facts.get("Denoising strength"),
        "extra_generation_params": {
            k: v for k, v in {**facts, **run.infotext}.items() if v is not None and k not in HEAD
        },
        "index_of_first_image": grids,
        "infotexts": [p.infotext for p in run.pictures],
        "styles": list(request.prompt.styles),
        "job_timestamp": run.timestamp,
        "clip_skip": run.settings.CLIP_stop_at_last_layers,
        "is_using_inpainting_conditioning": model.is_inpainting,
        "version": run.services.version,
    }
