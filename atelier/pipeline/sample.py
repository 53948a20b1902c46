"""Sampling: one pass from noise to latents, with its hooks, progress and previews."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from atelier.base.errors import Interrupted, NumericFailure
from atelier.base.events import StepDone
from atelier.checkpoints.load import LoadedModel
from atelier.params.request import GenerationRequest
from atelier.params.settings import SettingsSnapshot
from atelier.pipeline.encode import encode_pass
from atelier.pipeline.guidance import pass_guidance
from atelier.pipeline.models import levels_of
from atelier.pipeline.networks import step_networks
from atelier.pipeline.precision import HalfFailed, check_output, raise_denoiser
from atelier.pipeline.preview import Previewer
from atelier.pipeline.refiner import NetworkAtWork, takeover_for
from atelier.pipeline.soft import soft_blend
from atelier.pipeline.state import Batch, Pass, Run
from atelier.sampling.catalogue import Sampler
from atelier.sampling.denoise import Denoiser
from atelier.sampling.noise import PictureNoise
from atelier.sampling.session import SamplerOptions, SamplingPlan, plan_sampling
from atelier.sampling.step import ModelInputs, StepHooks


def sampler_options(request: GenerationRequest, settings: SettingsSnapshot) -> SamplerOptions:
    """The request's own values win over the settings; empty ones take the setting."""
    own = request.sampling

    def either(name: str, setting: str) -> Any:
        value = getattr(own, name)
        return settings[setting] if value is None else value

    return SamplerOptions(
        eta=either("eta", "eta_ancestral"),
        eta_ddim=either("eta", "eta_ddim"),
        tcd_gamma=either("eta", "tcd_gamma"),
        s_churn=either("s_churn", "s_churn"),
        s_tmin=either("s_tmin", "s_tmin"),
        s_tmax=either("s_tmax", "s_tmax"),
        s_noise=either("s_noise", "s_noise"),
        sigma_min=settings.sigma_min,
        sigma_max=settings.sigma_max,
        rho=settings.rho,
        discard_penultimate=settings.always_discard_next_to_last_sigma,
        ensd=settings.eta_noise_seed_delta,
        old_karras=settings.use_old_karras_scheduler_sigmas,
        sgm_noise_multiplier=settings.sgm_noise_multiplier,
        quantize=settings.enable_quantization,
        beta_alpha=settings.beta_dist_alpha,
        beta_beta=settings.beta_dist_beta,
        uni_pc_variant=settings.uni_pc_variant,
        uni_pc_skip_type=settings.uni_pc_skip_type,
        uni_pc_order=settings.uni_pc_order,
        uni_pc_lower_order_final=settings.uni_pc_lower_order_final,
        noise_multiplier=_noise_multiplier(request, settings),
        extra_noise=settings.img2img_extra_noise,
        joint_noise=settings.no_dpmpp_sde_batch_determinism,
    )


def _noise_multiplier(request: GenerationRequest, settings: SettingsSnapshot) -> float:
    if request.kind != "img2img":
        return 1.0
    own = request.source.noise_multiplier
    return settings.initial_noise_multiplier if own is None else own


def plan_pass(
    batch: Batch, sampler: str, scheduler: str, steps: int, strength: float | None, fixed_steps: bool,
    model: LoadedModel | None = None,
) -> SamplingPlan:  # fmt: skip
    """`strength` is None for txt2img; `model` is the run's unless another walks.

    Raises `BadRequest` for an unknown sampler or schedule.
    """
    run = batch.run
    catalogue = run.services.catalogue
    chosen, label = catalogue.resolve(sampler, scheduler)
    model = model or run.model
    options = sampler_options(run.request, run.settings)
    return plan_sampling(
        chosen, catalogue.schedule_for(chosen, label), steps, levels_of(run, model),
        denoising_strength=strength, fixed_steps=fixed_steps,
        options=replace(options, table="sdxl" if model.family.name.startswith("sdxl") else "sd1"),
    )  # fmt: skip


def effective_sampler(run: Run) -> tuple[Sampler, str]:
    """The sampler, and the label of the schedule in force: the sampler's own default replaces Automatic."""
    catalogue, own = run.services.catalogue, run.request.sampling
    sampler, label = catalogue.resolve(own.sampler, own.scheduler)
    return sampler, catalogue.schedule_for(sampler, label).label if sampler.schedule else label


def picture_noise(batch: Batch, width: int, height: int, model: LoadedModel | None = None) -> PictureNoise:
    """Each picture's own noise at this size; the same seeds give the same noise in any batch."""
    run = batch.run
    latent = (model or run.model).latent
    seed = run.request.seed
    resized = seed.resize_from_w > 0 and seed.resize_from_h > 0
    return PictureNoise(
        (latent.channels, height // latent.factor, width // latent.factor),
        batch.seeds,
        batch.subseeds,
        seed.subseed_strength,
        resize_from=(seed.resize_from_h, seed.resize_from_w) if resized else (0, 0),
        source=run.settings.randn_source,
        eta_seed_delta=run.settings.eta_noise_seed_delta,
        device=run.model.device,
        dtype=torch.float32,
    )


def sample_pass(current: Pass) -> torch.Tensor:  # [B, C, h, w]
    """Walks one pass. On stop or skip the last prediction is the result, so that a stopped picture is still shown.

    Raises `Interrupted` on cancel and when nothing was predicted yet, `NumericFailure` when the latents are all NaN.
    """
    batch = current.batch
    run = batch.run
    hooks = run.services.hooks
    current.first_noise = current.noise.first()
    if current.conditioning is None:
        current.conditioning = encode_pass(current, current.prompts, current.negatives)
    hooks.amend_conditioning(batch=batch, sampling_pass=current)
    current.start = current.plan.start(current.first_noise, current.source)
    hooks.before_sampling(sampling_pass=current)
    previewer = Previewer(current)
    first_call = run.calls_done
    done_passes = batch.index * run.plan.passes + (current.name == "hires")

    def on_call(index: int, total: int) -> None:
        step_networks(current, index, total)
        run.calls_done = first_call + index + 1
        run.publish(
            StepDone(
                job=run.job, step=run.calls_done, steps=max(run.calls_total, run.calls_done),
                pass_index=done_passes, passes=len(run.plan.batches) * run.plan.passes,
            )
        )  # fmt: skip

    latents = _walk_again(current, lambda: _walk(current, _denoiser(current, on_call), previewer))
    if current.keep_mask is not None and current.source is not None and not run.request.soft.enabled:
        latents = final_blend(current, latents)
    _refuse_nan(latents)
    return latents


def _walk_again(current: Pass, walk: Callable[[], torch.Tensor]) -> torch.Tensor:  # [B, C, h, w]
    """From the beginning each time that a network in half precision gave NaN, which every network does only once."""
    run, calls = current.batch.run, current.batch.run.calls_done
    begin = current.model, current.conditioning, current.concat, current.blank_concat
    while True:
        try:
            return walk()
        except HalfFailed:
            raise_denoiser(run, current.model)
            current.model, current.conditioning, current.concat, current.blank_concat = begin
            run.calls_done, current.noise = calls, fresh(current.noise)


def _walk(current: Pass, denoiser: Denoiser, previewer: Previewer) -> torch.Tensor:  # [B, C, h, w]
    """The sampler's way, with the network on the device and room for its work."""
    services = current.batch.run.services
    ladder, network = services.ladder, current.model.denoiser
    texts = current.conditioning
    rows = sum(len(parts) for parts in texts.positive)
    negative = len(texts.negative)
    asked = negative if texts.blank_concat is None else 2 * negative
    rows = rows + asked if denoiser.batch_cond_uncond else max(rows, negative)
    estimate = services.estimator.denoiser(network, rows, *current.start.shape[-2:], ladder.attention.choice.kernel)
    with NetworkAtWork(current, rows).held() as work, services.estimator.measuring(estimate) as watch:
        takeover = takeover_for(current, work)
        denoiser.switch = takeover and takeover.consider
        try:
            return current.plan.run(denoiser, current.start, current.noise, previewer.following(denoiser))
        except Interrupted as stop:
            if stop.mode == "cancel" or denoiser.last_denoised is None:
                raise
            return denoiser.last_denoised
        finally:
            if ladder.climbed or (takeover is not None and takeover.done):
                watch.drop()  # less was done than was estimated


def final_blend(current: Pass, latents: torch.Tensor) -> torch.Tensor:
    """Outside of the mask the source comes back exactly."""
    keep = current.keep_mask
    return latents * (1 - keep) + current.source * keep


def _denoiser(current: Pass, on_call: Callable[[int, int], None]) -> Denoiser:
    run = current.batch.run
    hooks, settings = run.services.hooks, run.settings
    return Denoiser(
        lambda inputs: _call(current, inputs),
        current.model.prediction,
        current.conditioning,
        pass_guidance(current, current.plan.prediction),
        hooks=StepHooks(
            before_denoise=lambda step: hooks.before_denoise(sampling_pass=current, step=step),
            amend_model_inputs=lambda inputs: hooks.amend_model_inputs(
                sampling_pass=current, step=inputs.step, inputs=inputs
            ),
            after_denoise=lambda step: hooks.after_denoise(sampling_pass=current, step=step),
            after_guidance=lambda step: hooks.after_guidance(sampling_pass=current, step=step),
            blend_mask=lambda step: hooks.blend_mask(sampling_pass=current, step=step),
        ),
        token=run.token,
        total_calls=current.plan.calls,
        on_call=on_call,
        mask=current.keep_mask,
        init_latents=current.source if current.keep_mask is not None else None,
        batch_cond_uncond=settings.batch_cond_uncond,
        blend=soft_blend(run),
    )


def _call(current: Pass, inputs: ModelInputs) -> torch.Tensor:  # [N, C, h, w]
    """By the model that walks now, which a refiner may have taken the place of."""
    run, model = current.batch.run, current.model
    return check_output(run, model, run.services.ladder.rows(model.call_denoiser, inputs, run))


def fresh(noise: PictureNoise) -> PictureNoise:
    """The same noise from its beginning, with the starting noise drawn."""
    again = replace(noise)
    again.first()
    return again


def _refuse_nan(latents: torch.Tensor) -> None:
    if bool(torch.isnan(latents).any()):
        raise NumericFailure(
            "The model gave NaN (not a number) instead of a picture.",
            remedy="Start with --no-half, or use another checkpoint, sampler or lower CFG scale.",
        )
