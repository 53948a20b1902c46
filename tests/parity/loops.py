"""The same picture by two programs: our loop, and StableDiffusionPipeline of diffusers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from diffusers import EulerDiscreteScheduler, StableDiffusionPipeline

from atelier.checkpoints.load import LoadedModel
from atelier.families.clip import load_tokenizer
from atelier.families.family import EncodeOptions
from atelier.sampling.conditioning import Conditioning, ScheduledEncoding
from atelier.sampling.denoise import Denoiser
from atelier.sampling.guidance import ClassifierFree, Guidance
from atelier.sampling.samplers.euler import euler
from atelier.sampling.step import ignore
from tests.tiny import TinySizes, tiny_text_encoder, tiny_unet, tiny_vae


@dataclass(frozen=True)
class Task:
    prompt: str = "a red circle on a blue background"
    negative: str = "blurry, dark"
    steps: int = 5
    guidance: float = 7.5
    side: int = 64
    seed: int = 11
    prediction: str = "eps"

    def noise(self) -> torch.Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        return torch.randn(1, 4, self.side // 8, self.side // 8, generator=generator)

    def scheduler(self) -> EulerDiscreteScheduler:
        """Whole timesteps, so that both programs see the same times."""
        kind = {"eps": "epsilon", "v": "v_prediction"}[self.prediction]
        scheduler = EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type=kind,
            timestep_spacing="trailing",
        )  # fmt: skip
        scheduler.set_timesteps(self.steps)
        return scheduler


def theirs(sizes: TinySizes, task: Task, dtype: torch.dtype = torch.float32) -> torch.Tensor:  # [1, 3, H, W] in 0..1
    pipeline = StableDiffusionPipeline(
        vae=tiny_vae(sizes).to(dtype), text_encoder=tiny_text_encoder(sizes).to(dtype), tokenizer=load_tokenizer(),
        unet=tiny_unet(sizes).to(dtype), scheduler=task.scheduler(), safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    return pipeline(
        task.prompt, negative_prompt=task.negative, num_inference_steps=task.steps, guidance_scale=task.guidance,
        latents=task.noise(), height=task.side, width=task.side, output_type="pt",
    ).images  # fmt: skip


def parts(sizes: TinySizes) -> dict[str, Any]:
    """The parts that all pipelines of diffusers take; none asks for a safety checker."""
    return dict(
        vae=tiny_vae(sizes), text_encoder=tiny_text_encoder(sizes), tokenizer=load_tokenizer(), unet=tiny_unet(sizes)
    )


def ours(
    model: LoadedModel, task: Task, guidance: Guidance | None = None, **beside: Any
) -> torch.Tensor:  # [1, 3, H, W] in 0..1
    """`beside` goes to the conditioning: what the network is fed beside latents and text."""
    positive, negative = (
        ScheduledEncoding.constant(model.encode_texts([text], EncodeOptions())[0])
        for text in (task.prompt, task.negative)
    )
    sigmas = task.scheduler().sigmas
    denoiser = Denoiser(
        call=model.call_denoiser,
        prediction=model.prediction,
        conditioning=Conditioning(positive=(((1.0, positive),),), negative=(negative,), **beside),
        guidance=guidance or ClassifierFree(task.guidance),
    )
    with torch.inference_mode():
        latents = euler(denoiser, task.noise() * sigmas[0], sigmas, noise=None, on_step=ignore)
        return (model.decode(latents) / 2 + 0.5).clamp(0, 1)
