"""img2img alternative test: the noise of a picture is found, and the picture drawn anew from it with other words."""

from __future__ import annotations

from typing import Any

from atelier.params.scripts import AskedScript
from atelier.pipeline.state import Result, Run
from atelier.scripts.inversion import INVERSION, SAMPLER
from atelier.scripts.session import Session, with_text


def run_alternative(run: Run, asked: AskedScript) -> Result:
    session, values = Session(run, asked), asked.values
    changes: dict[str, Any] = {}
    if values.override_sampler:
        changes |= {"sampling.sampler": SAMPLER, "sampling.scheduler": "Automatic"}
    if values.override_prompt:
        changes |= {"prompt.positive": values.original_prompt, "prompt.negative": values.original_negative_prompt}
    if values.override_steps:
        changes["sampling.steps"] = values.st
    if values.override_strength:
        changes["source.denoising_strength"] = 1.0
    request = with_text(session.request.with_values(**changes), {
        "Script": asked.script.title, "Decode prompt": values.original_prompt,
        "Decode negative prompt": values.original_negative_prompt or None,
        "Decode CFG scale": values.cfg, "Decode steps": values.st, "Randomness": values.randomness,
        "Sigma Adjustment": values.sigma_adjustment,
    })  # fmt: skip
    inversion = {
        "prompt": values.original_prompt, "negative": values.original_negative_prompt, "steps": values.st,
        "cfg": values.cfg, "randomness": values.randomness, "adjust": values.sigma_adjustment,
    }  # fmt: skip
    request = request.with_values(extras={**request.extras, INVERSION: inversion})
    session.expect([request])
    session.make(request)
    return session.gathered()
