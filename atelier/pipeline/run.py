"""The recipe: what happens between a request and its pictures, in order."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from typing import Any

import torch

from atelier.base.cancel import CancelToken
from atelier.base.errors import Interrupted
from atelier.base.events import Event, StageChanged
from atelier.params.request import GenerationRequest
from atelier.params.settings import SettingsSnapshot
from atelier.pipeline.beside import feed_beside
from atelier.pipeline.decode import decode
from atelier.pipeline.finish import finish_batch
from atelier.pipeline.finishing import ready_to_finish
from atelier.pipeline.hires import finished_pass, second_plan, with_picture
from atelier.pipeline.hooks import ResultDraft
from atelier.pipeline.infotext import result_info
from atelier.pipeline.latents import frames_of, prepare_source, source_for_batch
from atelier.pipeline.models import open_models
from atelier.pipeline.networks import add_default_networks, apply_networks
from atelier.pipeline.plan import draft_plan, freeze_plan, old_sizes
from atelier.pipeline.sample import picture_noise, plan_pass, sample_pass
from atelier.pipeline.save import save_frames, save_grid, save_sources
from atelier.pipeline.services import Services
from atelier.pipeline.soft import leave_masks
from atelier.pipeline.state import Batch, Pass, RequestDraft, Result, Run
from atelier.prompts.tags import extract_tags


def generate(
    request: GenerationRequest,
    services: Services,
    *,
    settings: SettingsSnapshot,
    token: CancelToken | None = None,
    publish: Callable[[Event], Any] = lambda event: None,
    job: str = "",
    nested: bool = False,
) -> Result:
    """Makes the pictures of one request. `nested` runs belong to another run and save only when they say so.

    Raises any `AtelierError`; a stop keeps what is done and is not an error, a cancel raises `Interrupted`.
    """
    started = time.monotonic()
    run = Run(request, settings, services, token or CancelToken(), publish, job, nested=nested)
    run.timestamp = datetime.now().strftime("%Y%m%d%H%M%S")
    if not nested:
        # The page saves styles while the engine runs, and people edit the file by hand.
        services.styles.freshen()
    with torch.no_grad(), ExitStack() as models:
        # Before anybody else: extensions see the sizes that are worked at.
        draft = RequestDraft(with_picture(run, old_sizes(request, settings)))
        given = draft.request.hires.image
        services.hooks.amend_request(run=run, draft=draft)
        same = draft.request.hires.image == given
        run.request = draft.request if same else with_picture(run, draft.request)
        run.settings = settings.overlaid(run.request.overrides)
        replaced = services.hooks.take_over(run=run)
        if replaced is not None:
            return replaced
        ready_to_finish(run)
        models.enter_context(open_models(run))
        _plan(run)
        images = _batches(run)
    state = "stopped" if run.token.mode == "stop" else "done"
    result = Result(
        pictures=tuple(run.pictures),
        state=state,
        comments=tuple(run.comments),
        info=result_info(run),
        seconds=time.monotonic() - started,
        images=tuple(images),
    )
    final = ResultDraft(result)
    services.hooks.after_run(run=run, result=final)
    return final.result


def _plan(run: Run) -> None:
    draft = draft_plan(run.request, run.services.styles)
    add_default_networks(run, draft)
    run.services.hooks.amend_plan(run=run, draft=draft)
    run.plan = freeze_plan(draft, run.request, run.settings, run.model.latent.factor)


def _batches(run: Run) -> list[Any]:
    """All batches, one after the other; returns the images in the order of the result."""
    prepare_source(run)
    save_sources(run)
    images: list[Any] = []
    for index, pictures in enumerate(run.plan.batches):
        if run.token.ending:
            break
        run.token.clear_skip()
        batch = Batch(
            run, index, pictures,
            prompts=[p.prompt for p in pictures], negatives=[p.negative for p in pictures],
            seeds=[p.seed for p in pictures], subseeds=[p.subseed for p in pictures],
            hires_prompts=[p.hires_prompt for p in pictures], hires_negatives=[p.hires_negative for p in pictures],
        )  # fmt: skip
        try:
            images += _one_batch(batch)
        except Interrupted as stop:
            if stop.mode == "cancel":
                raise
    images[:0] = save_grid(run, images)
    return images


def _one_batch(batch: Batch) -> list[Any]:
    run, hooks = batch.run, batch.run.services.hooks
    hooks.before_batch(batch=batch)
    _cut_tags(batch)
    with ExitStack() as patches:
        apply_networks(batch, patches)
        for provided in hooks.provide_patches(batch=batch):
            for patch in provided or ():
                patches.enter_context(patch)
        hooks.networks_applied(batch=batch)
        hooks.amend_batch(batch=batch)
        current = first_pass(batch)
        if "picture" not in run.notes:
            run.publish(StageChanged(job=run.job, stage="sampling"))
            current.latents = sample_pass(current)
        # "Finish" ends the job after this picture, and its second pass belongs to it.
        batch.whole = run.token.mode is None
        if run.plan.hires_width and batch.whole:
            current = finished_pass(current)
        hooks.after_sampling(sampling_pass=current)
        leave_masks(current)
    batch.latents = current.latents
    run.publish(StageChanged(job=run.job, stage="decoding"))
    if not batch.already_decoded:
        batch.pixels = decode(run, batch.latents, current.model)
    batch.images = list(batch.pixels)
    hooks.after_decode(batch=batch)
    finish_batch(batch)
    return save_frames(batch)


def first_pass(batch: Batch) -> Pass:
    """The only difference between txt2img, img2img and inpainting is what sampling starts from."""
    run = batch.run
    own = run.request.sampling
    strength = run.request.source.denoising_strength if run.request.kind == "img2img" else None
    plan = plan_pass(batch, own.sampler, own.scheduler, own.steps, strength, run.settings.img2img_fix_steps)
    current = Pass(
        batch, "first", run.plan.width, run.plan.height,
        prompts=list(batch.prompts), negatives=list(batch.negatives), model=run.model, plan=plan,
        noise=picture_noise(batch, run.plan.width, run.plan.height),
        cfg_scale=own.cfg_scale, steps=own.steps,
    )  # fmt: skip
    source_for_batch(current)
    given = "picture" in run.notes
    if not given:
        feed_beside(current, frames_of(current))
    calls = (0 if given else plan.calls) + (second_plan(batch).calls if run.plan.hires_width else 0)
    run.calls_total = max(run.calls_total, calls * len(run.plan.batches))
    return current


def _cut_tags(batch: Batch) -> None:
    """Network tags are cut out of all prompts; the first prompt of the batch decides which networks are active."""
    for name in ("prompts", "negatives", "hires_prompts", "hires_negatives"):
        cut = [extract_tags(text) for text in getattr(batch, name)]
        if name == "prompts":
            batch.tags = cut[0][1] if cut else ()
        elif name == "hires_prompts":
            batch.hires_tags = cut[0][1] if cut else ()
        getattr(batch, name)[:] = [text for text, _ in cut]
