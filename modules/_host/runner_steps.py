"""The host's side of a pass, a model call and a frame: views for callbacks, and the methods of scripts."""

from __future__ import annotations

from typing import Any

from atelier.pipeline.state import Batch, Frame, Pass
from atelier.plugins.hooks import hookimpl
from modules._host.callback_params import AfterCFGCallbackParams, CFGDenoisedParams, CFGDenoiserParams
from modules._host.infotext import for_frame
from modules._host.pixels import correction_for
from modules._host.sampler_view import DenoiserView, ImageRNGView, SamplerView
from modules._host.script import (
    MaskBlendArgs,
    PostprocessBatchListArgs,
    PostprocessImageArgs,
    PostProcessMaskOverlayArgs,
    PostSampleArgs,
)
from modules._host.text_conds import shown, taken
from modules._host.ticket import Ticket, ticket_of

#: the keys under which a pass keeps the host's views
SAMPLER = "a1111.sampler"


class StepHooks:
    """The moments of passes, model calls and pictures."""

    def __init__(self, host: Any) -> None:
        self.host = host

    # -- a pass ------------------------------------------------------------------------------------------------

    @hookimpl
    def before_second_pass(self, sampling_pass: Pass) -> None:
        ticket = ticket_of(sampling_pass.batch.run)
        if ticket is not None:
            ticket.p.is_hr_pass = True
            _fire(ticket, "before_hr")

    @hookimpl
    def before_sampling(self, sampling_pass: Pass) -> None:
        ticket = ticket_of(sampling_pass.batch.run)
        if ticket is None:
            return
        p, state = ticket.p, self.host.state
        p.is_hr_pass = sampling_pass.name == "hires"
        # The very object that a script has put there: it may only look like a number.
        sampling_pass.cfg_scale = p.cfg_scale
        p.sampler = SamplerView(sampling_pass, p)
        p.rng = ImageRNGView(sampling_pass)
        sampling_pass.notes[SAMPLER] = p.sampler
        state.sampling_step, state.sampling_steps = 0, sampling_pass.steps
        if ticket.p.scripts is not None and p.scripts.ordered_scripts("process_before_every_sampling"):
            at = sampling_pass.conditioning.at(0)
            p.scripts.fire(
                "process_before_every_sampling", p,
                x=sampling_pass.start, noise=sampling_pass.first_noise, c=at.vectors, uc=at.negative,
            )  # fmt: skip

    @hookimpl
    def after_sampling(self, sampling_pass: Pass) -> None:
        ticket = ticket_of(sampling_pass.batch.run)
        if ticket is None:
            return
        if self._has(ticket, "on_mask_blend") and sampling_pass.keep_mask is not None:
            keep = sampling_pass.keep_mask
            blend = MaskBlendArgs(sampling_pass.latents, 1 - keep, sampling_pass.source, keep, sampling_pass.latents)
            _fire(ticket, "on_mask_blend", blend)
            sampling_pass.latents = blend.blended_latent
        if self._has(ticket, "post_sample"):
            args = PostSampleArgs(sampling_pass.latents)
            _fire(ticket, "post_sample", args)
            sampling_pass.latents = args.samples
        ticket.p.is_hr_pass = False

    # -- a call of the model -----------------------------------------------------------------------------------

    @hookimpl
    def before_denoise(self, sampling_pass: Pass, step: Any) -> None:
        self.host.state.sampling_step = step.index
        if not self.host.callbacks.listening("cfg_denoiser"):
            return
        view, cond, model = DenoiserView.of(sampling_pass, step), step.cond, sampling_pass.model
        told, negative_told = cond.added.get("sizes", ()), cond.negative_added.get("sizes", ())
        rows = [told[image] for image in cond.images] if len(told) else []
        params = CFGDenoiserParams(
            step.x_rows, cond.concat, step.sigma_rows, step.index, step.total,
            shown(model, cond.vectors, cond.pooled, rows),
            shown(model, cond.negative, cond.negative_pooled, list(negative_told)), view,
        )  # fmt: skip
        self.host.callbacks.fire("cfg_denoiser", params)
        step.x_rows, step.sigma_rows = params.x, params.sigma
        cond.vectors, cond.pooled = taken(params.text_cond, cond.pooled)
        cond.negative, cond.negative_pooled = taken(params.text_uncond, cond.negative_pooled)

    @hookimpl
    def after_denoise(self, sampling_pass: Pass, step: Any) -> None:
        if self.host.callbacks.listening("cfg_denoised"):
            view = DenoiserView.of(sampling_pass, step)
            params = CFGDenoisedParams(step.denoised_rows, step.index, step.total, view.inner_model)
            self.host.callbacks.fire("cfg_denoised", params)

    @hookimpl
    def blend_mask(self, sampling_pass: Pass, step: Any) -> None:
        ticket = ticket_of(sampling_pass.batch.run)
        if ticket is None or not self._has(ticket, "on_mask_blend"):
            return
        args = MaskBlendArgs(
            step.unblended, step.nmask, step.init_latents, step.mask, step.denoised,
            DenoiserView.of(sampling_pass, step), step.sigma,
        )  # fmt: skip
        _fire(ticket, "on_mask_blend", args)
        step.denoised = args.blended_latent

    @hookimpl
    def after_guidance(self, sampling_pass: Pass, step: Any) -> None:
        if self.host.callbacks.listening("cfg_after_cfg"):
            params = AfterCFGCallbackParams(step.denoised, step.index, step.total)
            self.host.callbacks.fire("cfg_after_cfg", params)
            step.denoised = params.x

    # -- pictures ----------------------------------------------------------------------------------------------

    @hookimpl
    def after_decode(self, batch: Batch) -> None:
        ticket = ticket_of(batch.run)
        if ticket is None:
            return
        p = ticket.p
        self.host.state.nextjob()
        if self._has(ticket, "postprocess_batch"):
            _fire(ticket, "postprocess_batch", images=batch.pixels, batch_number=batch.index)
            batch.images = list(batch.pixels)
        if self._has(ticket, "postprocess_batch_list"):
            args = PostprocessBatchListArgs(list(batch.images))
            _fire(ticket, "postprocess_batch_list", args, batch_number=batch.index)
            batch.images = list(args.images)
            batch.prompts[:], batch.negatives[:] = list(p.prompts), list(p.negative_prompts)
            batch.seeds[:], batch.subseeds[:] = list(p.seeds), list(p.subseeds)

    @hookimpl
    def amend_frame(self, frame: Frame) -> None:
        ticket = ticket_of(frame.batch.run)
        if ticket is not None:
            ticket.p.batch_index = frame.position
            if self._has(ticket, "postprocess_image"):
                _picture(ticket, "postprocess_image", frame)

    @hookimpl
    def amend_overlay(self, frame: Frame) -> None:
        ticket = ticket_of(frame.batch.run)
        if ticket is not None:
            frame.colors = correction_for(ticket.p.color_corrections, frame.position) or frame.colors
        if ticket is not None and self._has(ticket, "postprocess_maskoverlay"):
            args = PostProcessMaskOverlayArgs(frame.position, frame.mask_for_overlay, frame.overlay)
            _fire(ticket, "postprocess_maskoverlay", args)
            frame.mask_for_overlay, frame.overlay = args.mask_for_overlay, args.overlay_image

    @hookimpl
    def amend_composite(self, frame: Frame) -> None:
        ticket = ticket_of(frame.batch.run)
        if ticket is None:
            return
        if self._has(ticket, "postprocess_image_after_composite"):
            _picture(ticket, "postprocess_image_after_composite", frame)
        frame.infotext.update(for_frame(frame, ticket))

    def _has(self, ticket: Ticket, method: str) -> bool:
        return ticket.p.scripts is not None and bool(ticket.p.scripts.ordered_scripts(method))


def _fire(ticket: Ticket, method: str, *extra: Any, **kwargs: Any) -> None:
    if ticket.p.scripts is not None:
        ticket.p.scripts.fire(method, ticket.p, *extra, **kwargs)


def _picture(ticket: Ticket, method: str, frame: Frame) -> None:
    args = PostprocessImageArgs(frame.image)
    _fire(ticket, method, args)
    image = args.image
    frame.image = image if image.mode in ("RGB", "RGBA") else image.convert("RGB")
