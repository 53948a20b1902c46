"""ScriptHooks: the built-in scripts as one plugin of the pipeline; a request that asks for one is taken over."""

from __future__ import annotations

from atelier.params.picture_batch import asked_batch
from atelier.params.scripts import asked_script
from atelier.pipeline.state import Frame, Pass, PlanDraft, Result, Run
from atelier.plugins.hooks import hookimpl
from atelier.scripts.batch import run_batch
from atelier.scripts.catalogue import RUNNERS
from atelier.scripts.inversion import INVERSION, inverted_noise
from atelier.scripts.loopback import keep_colors
from atelier.scripts.session import FIELDS


class ScriptHooks:
    NAME = "scripts"

    @hookimpl
    def take_over(self, run: Run) -> Result | None:
        """Raises `BadRequest` for a script that is not there, and for values that it cannot take."""
        batch = asked_batch(run.request)
        if batch is not None:
            return run_batch(run, batch)
        asked = asked_script(run.request)
        if asked is None:
            return None
        return RUNNERS[asked.script.name](run, asked)

    @hookimpl
    def amend_plan(self, run: Run, draft: PlanDraft) -> None:
        """The pictures of a script's inner run tell what the script did."""
        run.infotext.update(run.request.extras.get(FIELDS) or {})

    @hookimpl
    def before_sampling(self, sampling_pass: Pass) -> None:
        """The alternative img2img test starts from the noise that leads to the given picture."""
        asked = sampling_pass.batch.run.request.extras.get(INVERSION)
        if asked is not None and sampling_pass.source is not None:
            sampling_pass.start = sampling_pass.plan.start(inverted_noise(sampling_pass, asked))

    @hookimpl
    def amend_overlay(self, frame: Frame) -> None:
        keep_colors(frame)
