"""The noise from which the model would draw a given picture: the source of a pass, walked backwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from atelier.base.events import StageChanged
from atelier.pipeline.encode import encode_pass
from atelier.pipeline.state import Pass
from atelier.sampling.denoise import Denoiser
from atelier.sampling.guidance import ClassifierFree
from atelier.sampling.samplers.inverse import invert_euler
from atelier.sampling.session import plan_sampling

#: the name in `request.extras` under which an inner run finds how it is to be done
INVERSION = "script_inversion"
SAMPLER = "Euler"


def inverted_noise(current: Pass, asked: Mapping[str, Any]) -> torch.Tensor:  # [B, C, h, w], of spread 1
    """`asked` holds prompt, negative, steps, cfg, randomness and adjust. The walk is done once for all batches."""
    run = current.batch.run
    found = run.notes.get(INVERSION)
    if found is None or found.shape != current.source.shape:
        found = run.notes[INVERSION] = _walked(current, asked)
    share = float(asked["randomness"])
    if not share:
        return found
    # Two independent noises of spread 1: the root keeps their sum at 1.
    mixed = (1 - share) * found + share * current.first_noise.to(found)
    return mixed / (share**2 + (1 - share) ** 2) ** 0.5


def _walked(current: Pass, asked: Mapping[str, Any]) -> torch.Tensor:
    run, model = current.batch.run, current.model
    services = run.services
    run.publish(StageChanged(job=run.job, stage="finding the noise of the picture"))
    sampler, label = services.catalogue.resolve(SAMPLER, None)
    plan = plan_sampling(sampler, services.catalogue.schedule_for(sampler, label), asked["steps"], model.prediction)
    count = current.source.shape[0]
    texts = replace(current, plan=plan)
    denoiser = Denoiser(
        lambda inputs: services.ladder.rows(model.call_denoiser, inputs, run),
        model.prediction,
        encode_pass(texts, [asked["prompt"]] * count, [asked["negative"]] * count),
        ClassifierFree(cfg_scale=float(asked["cfg"])),
        token=run.token,
        total_calls=plan.calls,
    )
    rows = 2 * count
    estimate = services.estimator.denoiser(
        model.denoiser, rows, *current.source.shape[-2:], services.ladder.attention.choice.kernel
    )
    with services.ladder.lease(model.denoiser, working=estimate.bytes, teller=run):
        return invert_euler(denoiser, current.source, plan.sigmas, slope_below=bool(asked["adjust"]))
