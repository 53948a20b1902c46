"""Pipeline: the same picture by diffusers' own pipeline over the same modules, and the comparison."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from diffusers import DiffusionPipeline, EulerDiscreteScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline
from torch import nn

from atelier.checkpoints.load import LoadedModel
from atelier.families.clip import load_tokenizer
from bench.bare import BareLoop, difference
from bench.report import Figure, figure, over
from bench.studio import Scene, Studio
from bench.timing import Effort, Figures, StepClock, alternate

#: "not slower" with room for what a quotient of equal things still scatters
MOST_PERCENT = 2.0


class Pipeline:
    """diffusers' pipeline around the modules of a studio's model: nothing is in memory twice."""

    def __init__(self, studio: Studio, scene: Scene) -> None:
        model, self.scene, self.settle = studio.model, scene, studio.settle
        # Same noise and same levels as Atelier's, so that the pictures can be held side by side.
        loop = BareLoop(model, scene, studio.settle)
        self.sigmas = loop.sigmas
        scheduler = EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
            timestep_spacing="linspace", steps_offset=1,
            prediction_type="v_prediction" if model.prediction.kind == "v" else "epsilon",
        )  # fmt: skip
        self.pipe = _pipe(model, scheduler)
        self.pipe.set_progress_bar_config(disable=True)
        scheduler.set_timesteps(sigmas=self.sigmas)
        self.latents = loop.start / float(scheduler.init_noise_sigma)

    def paint(self) -> tuple[Figures, np.ndarray]:
        clock = StepClock(self.settle)

        def ended(_pipe: Any, _index: int, _time: Any, values: dict[str, Any]) -> dict[str, Any]:
            clock.mark()
            return values

        with torch.no_grad(), clock.watching(self.pipe.unet), _decoding_in_its_own_type(self.pipe.vae):
            images = self.pipe(
                prompt=self.scene.prompt, negative_prompt=self.scene.negative, height=self.scene.side,
                width=self.scene.side, sigmas=self.sigmas, guidance_scale=self.scene.cfg,
                latents=self.latents.to(self.pipe.unet.dtype), callback_on_step_end=ended,
            ).images  # fmt: skip
        return clock.figures(), np.asarray(images[0])


@contextmanager
def _decoding_in_its_own_type(vae: nn.Module) -> Iterator[None]:
    """Latents in half precision come to an autoencoder in float32: diffusers brings them to its type for float16
    alone, and fails for bfloat16."""

    def fitted(module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
        return (given[0].to(module.weight.dtype), *given[1:])

    hook = vae.post_quant_conv.register_forward_pre_hook(fitted)
    try:
        yield
    finally:
        hook.remove()


def _pipe(model: LoadedModel, scheduler: EulerDiscreteScheduler) -> DiffusionPipeline:
    parts = dict(vae=model.vae, text_encoder=model.text_encoder, tokenizer=model.tokenizer, unet=model.denoiser,
                 scheduler=scheduler)  # fmt: skip
    if model.text_encoder_2 is None:
        return StableDiffusionPipeline(
            **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
        )
    # Filled up with "!", which has the number 0, as SDXL's second tokenizer is published.
    second = load_tokenizer()
    second.pad_token = "!"
    return StableDiffusionXLPipeline(
        **parts, text_encoder_2=model.text_encoder_2, tokenizer_2=second, add_watermarker=False
    )


def measure_pipeline(studio: Studio, scene: Scene, effort: Effort, name: str) -> Iterator[Figure]:
    """Texts are encoded in every run on both sides: Atelier's memory of them is emptied."""
    pipeline = Pipeline(studio, scene)
    seen: dict[str, np.ndarray] = {}

    def diffusers() -> Figures:
        figures, seen["diffusers"] = pipeline.paint()
        return figures

    def atelier() -> Figures:
        figures, seen["atelier"] = studio.paint(scene, remember_texts=False)
        return figures

    rounds = alternate({"diffusers": diffusers, "atelier": atelier}, effort)
    apart, mean = difference(seen["atelier"], seen["diffusers"])
    step, cpu, total = (rounds.ratio("atelier", "diffusers", kind) for kind in ("step", "step_cpu", "total"))
    size = f"{scene.size}, {studio.engine.choice.precision}"
    yield figure(f"{name}.step.diffusers", f"{name}: a step of diffusers' pipeline ({size})", "ms",
                 rounds.spread("diffusers", "step"), scale=1000)  # fmt: skip
    yield over(f"{name}.step", f"{name}: a step of Atelier over diffusers", step, limit=MOST_PERCENT,
               note=f"pictures of both: largest difference {apart}/255, mean {mean:.3f}/255")  # fmt: skip
    yield over(f"{name}.step.cpu", f"{name}: the same in processor time", cpu)
    yield figure(f"{name}.outside", f"{name}: a step outside of the network, Atelier", "ms",
                 rounds.spread("atelier", "outside"), scale=1000)  # fmt: skip
    yield figure(f"{name}.outside.diffusers", f"{name}: a step outside of the network, diffusers", "ms",
                 rounds.spread("diffusers", "outside"), scale=1000)  # fmt: skip
    yield over(f"{name}.picture", f"{name}: a whole picture over diffusers, with its PNG on disk", total)
