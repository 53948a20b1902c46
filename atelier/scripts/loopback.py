"""Loopback: a picture is changed again and again, each time from what came out before."""

from __future__ import annotations

import math
from types import MappingProxyType

from atelier.imaging.color import color_target, smaller
from atelier.params.request import GenerationRequest
from atelier.params.scripts import AskedScript, script_fields
from atelier.params.value_json import plain
from atelier.pipeline.describe import describe
from atelier.pipeline.state import Frame, Result, Run
from atelier.scripts.session import Session, with_text

FILL_ORIGINAL = 1
#: the name in `request.extras` of an inner run under which the hash of the picture stands whose colours are kept
COLORS = "loopback_colors"
#: who describes, by the words of the page
DESCRIBERS = MappingProxyType({"CLIP": "clip", "DeepBooru": "deepdanbooru"})


def run_loopback(run: Run, asked: AskedScript) -> Result:
    session, values = Session(run, asked), asked.values
    base = session.request
    start = base.source.denoising_strength
    single = {"batch.count": 1, "batch.size": 1, "source.images": base.source.images[:1]}
    base = with_text(base, script_fields(asked)).with_values(**single)
    if session.settings.img2img_color_correction:
        # Of the first picture: what is corrected by what was corrected before drifts away.
        base = base.with_values(extras={**base.extras, COLORS: base.source.images[0].sha256})
    rounds = session.request.batch.count
    strengths = [strength_at(loop, values.loops, start, values.final_denoising_strength, values.denoising_curve)
                 for loop in range(values.loops)]  # fmt: skip
    session.expect(
        base.with_values(**{"source.denoising_strength": strength}) for strength in strengths for _ in range(rounds)
    )
    for place in range(rounds):
        request = base
        for loop, strength in enumerate(strengths):
            if session.ending:
                break
            seed = base.seed.seed + place * values.loops + loop
            told = _described(session, request)
            made = session.make(told.with_values(**{"source.denoising_strength": strength, "seed.seed": seed}))
            if not made.whole:
                break
            # What was filled in once is a picture now.
            request = request.with_values(**{"source.images": (made.first.ref,), "mask.fill": FILL_ORIGINAL})
    return session.gathered()


def _described(session: Session, request: GenerationRequest) -> GenerationRequest:
    """The request with a description of its picture after the prompt, when that is asked for."""
    model = DESCRIBERS.get(session.values.append_interrogation)
    if model is None:
        return request
    ref, prompt = request.source.images[0], request.prompt.positive
    asked = {"image": plain(ref), "model": model}
    words = session.remembered(f"{model} {ref.sha256}", lambda: describe(asked, session.run))["caption"]
    return request.with_values(**{"prompt.positive": f"{prompt}, {words}" if prompt else words})


def keep_colors(frame: Frame) -> None:
    """The pictures of all loops get the colours of the one that the first loop began with."""
    run = frame.batch.run
    sha256 = run.request.extras.get(COLORS)
    if sha256 is not None:
        reference = run.services.blobs.image(sha256, "source.images[0]").convert("RGB")
        frame.colors = color_target(smaller(reference, frame.image.size))


def strength_at(loop: int, loops: int, start: float, end: float, curve: str) -> float:
    """From `start` in the first loop to `end` in the last: fast at first, evenly, or slowly at first."""
    if loops <= 1:
        return start
    progress = loop / (loops - 1)
    if curve == "Aggressive":
        progress = math.sin(progress * math.pi / 2)
    elif curve == "Lazy":
        progress = 1 - math.cos(progress * math.pi / 2)
    return min(1.0, max(0.0, start + (end - start) * progress))
