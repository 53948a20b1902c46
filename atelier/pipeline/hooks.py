"""Every moment of a run at which an extension may speak: one signature and one sentence each."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import pluggy

from atelier.pipeline.state import Batch, Frame, Pass, PictureDraft, PlanDraft, RequestDraft, Result, Run

if TYPE_CHECKING:
    from atelier.sampling.step import ModelInputs, Step

hookspec = pluggy.HookspecMarker("atelier")


class PipelineHooks:
    """`amend` hooks change the carrier they are given and return nothing."""

    @hookspec
    def amend_request(self, run: Run, draft: RequestDraft) -> None:
        """First of all: the request may be replaced before settings are overlaid and anything is derived."""

    @hookspec(firstresult=True)
    def take_over(self, run: Run) -> Result | None:
        """Replace the whole run: the first result wins. Loops and grids are made this way."""

    @hookspec
    def amend_plan(self, run: Run, draft: PlanDraft) -> None:
        """Prompts and seeds of every picture are known and may be changed."""

    @hookspec
    def before_batch(self, batch: Batch) -> None:
        """A batch begins; its prompts still hold their network tags."""

    @hookspec
    def provide_patches(self, batch: Batch) -> list[AbstractContextManager[Any]] | None:
        """Changes to the model for this batch, as contexts that undo themselves."""

    @hookspec
    def networks_applied(self, batch: Batch) -> None:
        """LoRA and other networks named in the prompts are in force."""

    @hookspec
    def amend_batch(self, batch: Batch) -> None:
        """The last moment before prompts are encoded."""

    @hookspec
    def amend_conditioning(self, batch: Batch, sampling_pass: Pass) -> None:
        """The prompts are encoded; `sampling_pass.conditioning` may be changed."""

    @hookspec
    def before_second_pass(self, sampling_pass: Pass) -> None:
        """The first pass was enlarged and the second is about to begin."""

    @hookspec
    def before_sampling(self, sampling_pass: Pass) -> None:
        """Noise and starting latents are ready; called before every pass."""

    @hookspec
    def before_denoise(self, sampling_pass: Pass, step: Step) -> None:
        """Before each evaluation of the model."""

    @hookspec
    def amend_model_inputs(self, sampling_pass: Pass, step: Step, inputs: ModelInputs) -> None:
        """The tensors that the model is about to be given."""

    @hookspec
    def after_denoise(self, sampling_pass: Pass, step: Step) -> None:
        """After the model, before positive and negative predictions are combined."""

    @hookspec
    def blend_mask(self, sampling_pass: Pass, step: Step) -> None:
        """Inpainting: after the prediction was blended with the source under the mask, at each step."""

    @hookspec
    def after_guidance(self, sampling_pass: Pass, step: Step) -> None:
        """After the predictions were combined and the mask was applied."""

    @hookspec
    def after_sampling(self, sampling_pass: Pass) -> None:
        """The last pass of a batch is done; `sampling_pass.latents` may be replaced."""

    @hookspec
    def after_decode(self, batch: Batch) -> None:
        """`batch.pixels` holds the decoded pictures; `batch.images` may gain or lose entries."""

    @hookspec
    def amend_frame(self, frame: Frame) -> None:
        """One picture, after face restoration and before the overlay is pasted."""

    @hookspec
    def amend_overlay(self, frame: Frame) -> None:
        """The mask and overlay of one picture, before it is pasted."""

    @hookspec
    def amend_composite(self, frame: Frame) -> None:
        """One picture after colour correction and overlay."""

    @hookspec
    def before_save(self, draft: PictureDraft) -> None:
        """A picture just before it is written."""

    @hookspec
    def after_run(self, run: Run, result: ResultDraft) -> None:
        """Everything is done; pictures of the result may be added or removed."""


class ResultDraft:
    """The result while `after_run` hooks may change it."""

    def __init__(self, result: Result) -> None:
        self.result = result
