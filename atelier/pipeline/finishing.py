"""Finishing: steps of the Extras tab that a request asks to be done to its own pictures, when they are made."""

from __future__ import annotations

from atelier.base.errors import Interrupted
from atelier.base.events import Event, StepDone
from atelier.params.extras import ExtrasRequest
from atelier.params.finishing import STEPS as OFFERED
from atelier.params.finishing import asked_steps
from atelier.pipeline.extras_state import ExtrasRun, PostPicture
from atelier.pipeline.extras_steps import STEPS, PostStep, in_order
from atelier.pipeline.state import Frame, Run


def ready_to_finish(run: Run) -> None:
    """Raises what would end the steps anyhow, before the picture takes its time."""
    asked = asked_steps(run.request)
    if asked is not None:
        work = _work(run, asked)
        for step in _steps(work):
            step.ready(work)


def finish_frame(frame: Frame) -> None:
    """The picture goes through the steps; a person who stops one gets it as it is then."""
    run = frame.batch.run
    asked = asked_steps(run.request)
    if asked is None:
        return
    work, picture = _work(run, asked), PostPicture(frame.image)
    try:
        for step in _steps(work):
            if not picture.disable_processing:
                work.stage(step.stage)
                step.work(work, picture)
    except Interrupted as stop:
        if stop.mode == "cancel":
            raise
    frame.image = picture.image
    frame.infotext.update({key: value for key, value in picture.info.items() if value is not None})
    for comment in work.comments:
        run.comment(comment)


def _work(run: Run, asked: ExtrasRequest) -> ExtrasRun:
    def publish(event: Event) -> None:
        # The steps of the job are those of the sampler.
        if not isinstance(event, StepDone):
            run.publish(event)

    return ExtrasRun(asked, run.settings, run.services, run.token, publish, run.job)


def _steps(work: ExtrasRun) -> list[PostStep]:
    return [step for step in in_order(STEPS, work.settings) if step.name in OFFERED and step.wanted(work)]
