"""The same picture of a reduced Stable Diffusion XL by two programs: our loop, and the pipelines of diffusers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from diffusers import (
    EulerDiscreteScheduler,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLInstructPix2PixPipeline,
    StableDiffusionXLPipeline,
)
from transformers import CLIPTokenizer

from atelier.checkpoints.load import LoadedModel
from atelier.families.clip import load_tokenizer
from atelier.families.family import EncodeOptions, PictureFacts
from atelier.sampling.conditioning import Conditioning, ScheduledEncoding
from atelier.sampling.denoise import Denoiser
from atelier.sampling.guidance import ClassifierFree
from atelier.sampling.image_guidance import ImageGuidance
from atelier.sampling.samplers.euler import euler
from atelier.sampling.step import ignore
from tests.tiny_sdxl import TinyXL, xl_first, xl_second, xl_unet, xl_vae


@dataclass(frozen=True)
class TaskXL:
    prompts: tuple[str, ...] = ("a red circle on a blue background",)
    negative: str = "blurry, dark"
    steps: int = 5
    guidance: float = 5.0
    side: int = 64
    seed: int = 11
    prediction: str = "eps"
    strength: float = 1.0
    crop: tuple[int, int] = (0, 0)
    scores: tuple[float, float] = (6.0, 2.5)
    zero_snr: bool = False
    #: how strongly models that edit a picture follow it
    image_guidance: float = 1.5
    #: arguments of diffusers' pipeline in the place of its own
    theirs: Mapping[str, object] = field(default_factory=dict)

    def noise(self) -> torch.Tensor:  # [B, 4, h, w]
        generator = torch.Generator().manual_seed(self.seed)
        return torch.randn(len(self.prompts), 4, self.side // 8, self.side // 8, generator=generator)

    def source(self) -> torch.Tensor:  # [B, 4, h, w]
        generator = torch.Generator().manual_seed(self.seed + 1)
        return torch.randn(len(self.prompts), 4, self.side // 8, self.side // 8, generator=generator) * 0.5

    def picture(self) -> torch.Tensor:  # [B, 3, H, W] in 0..1
        """Something smooth that is to be edited."""
        generator = torch.Generator().manual_seed(self.seed + 2)
        rough = torch.rand(len(self.prompts), 3, 5, 5, generator=generator)
        return torch.nn.functional.interpolate(rough, self.side, mode="bicubic").clamp(0, 1)

    def mask(self) -> torch.Tensor:  # [1, 1, H, W], 1 is painted anew
        mask = torch.zeros(1, 1, self.side, self.side)
        mask[:, :, : self.side // 2] = 1
        return mask

    def masked(self) -> torch.Tensor:  # [1, 4, h, w]
        return self.source()[:1] * 0.7

    def scheduler(self) -> EulerDiscreteScheduler:
        """Whole timesteps, so that both programs see the same times."""
        kind = {"eps": "epsilon", "v": "v_prediction"}[self.prediction]
        scheduler = EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type=kind,
            timestep_spacing="trailing", rescale_betas_zero_snr=self.zero_snr,
        )  # fmt: skip
        scheduler.set_timesteps(self.steps)
        return scheduler


def second_tokenizer() -> CLIPTokenizer:
    """As published with SDXL: filled up with "!", which has the number 0."""
    tokenizer = load_tokenizer()
    tokenizer.pad_token = "!"
    return tokenizer


def theirs(sizes: TinyXL, task: TaskXL) -> torch.Tensor:  # [B, 3, H, W] in 0..1
    parts = dict(
        vae=xl_vae(sizes), text_encoder=None if sizes.refiner else xl_first(sizes), text_encoder_2=xl_second(sizes),
        tokenizer=None if sizes.refiner else load_tokenizer(), tokenizer_2=second_tokenizer(), unet=xl_unet(sizes),
        scheduler=task.scheduler(), add_watermarker=False,
    )  # fmt: skip
    # An empty negative prompt means zeros to us, and none at all to diffusers.
    count = len(task.prompts)
    negative = [task.negative] * count if task.negative else None
    texts = {} if "prompt_embeds" in task.theirs else {"prompt": list(task.prompts), "negative_prompt": negative}
    asked = dict(
        **texts, num_inference_steps=task.steps, guidance_scale=task.guidance, output_type="pt",
        crops_coords_top_left=task.crop, **task.theirs,
    )  # fmt: skip
    size = {"height": task.side, "width": task.side}
    if sizes.in_channels == 9:
        pipeline = StableDiffusionXLInpaintPipeline(**parts)
        pixels = torch.zeros(1, 3, task.side, task.side)
        call = dict(
            image=pixels, mask_image=task.mask(), masked_image_latents=task.masked(), latents=task.noise(),
            strength=1.0, **size,
        )  # fmt: skip
    elif sizes.in_channels == 8:
        pipeline = StableDiffusionXLInstructPix2PixPipeline(**parts)
        call = dict(
            image=task.picture(), image_guidance_scale=task.image_guidance, latents=task.noise(), **size,
        )  # fmt: skip
    elif task.strength < 1:
        pipeline = StableDiffusionXLImg2ImgPipeline(**parts, requires_aesthetics_score=sizes.refiner)
        scores = {"aesthetic_score": task.scores[0], "negative_aesthetic_score": task.scores[1]}
        generator = torch.Generator().manual_seed(task.seed)
        call = dict(image=task.source(), strength=task.strength, generator=generator, **scores)
    else:
        pipeline = StableDiffusionXLPipeline(**parts)
        call = dict(latents=task.noise(), **size)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline(**asked, **call).images


def conditioning(model: LoadedModel, task: TaskXL) -> Conditioning:
    facts = PictureFacts(task.side, task.side, *task.crop, low_score=task.scores[1], high_score=task.scores[0])
    told, negative_told = ({"sizes": torch.tensor([n] * len(task.prompts))} for n in model.family.sizes(facts))
    negative = ScheduledEncoding.constant(model.encode_texts([task.negative], EncodeOptions(negative=True))[0])
    positives = (ScheduledEncoding.constant(model.encode_texts([text], EncodeOptions())[0]) for text in task.prompts)
    concat = _concat(model, task)
    return Conditioning(
        positive=tuple(((1.0, text),) for text in positives),
        negative=(negative,) * len(task.prompts),
        concat=concat,
        blank_concat=torch.zeros_like(concat) if model.edits and concat is not None else None,
        added=told,
        negative_added=negative_told,
    )


def _concat(model: LoadedModel, task: TaskXL) -> torch.Tensor | None:  # [B, 4 or 5, h, w]
    if model.edits:
        return model.latent.raw(model.encode_images(task.picture() * 2 - 1))
    if not model.is_inpainting:
        return None
    mask = torch.nn.functional.interpolate(task.mask(), scale_factor=1 / 8)
    return torch.cat([mask, task.masked()], dim=1).expand(len(task.prompts), -1, -1, -1)


def ours(model: LoadedModel, task: TaskXL) -> torch.Tensor:  # [B, 3, H, W] in 0..1
    sigmas = task.scheduler().sigmas
    if task.strength < 1:
        sigmas = sigmas[task.steps - int(task.steps * task.strength) :]
        start = task.source() + task.noise() * sigmas[0]
    else:
        start = task.noise() * sigmas[0]
    by_text = ClassifierFree(task.guidance)
    denoiser = Denoiser(
        call=model.call_denoiser,
        prediction=model.prediction,
        conditioning=conditioning(model, task),
        guidance=ImageGuidance(by_text, task.image_guidance) if model.edits else by_text,
    )
    with torch.inference_mode():
        latents = euler(denoiser, start, sigmas, noise=None, on_step=ignore)
        return (model.decode(latents) / 2 + 0.5).clamp(0, 1)


def joined(texts: Sequence[str], sizes: TinyXL, task: TaskXL) -> dict[str, object]:
    """diffusers' own encodings of several texts behind each other, with the pooled vector of the first."""
    pipeline = StableDiffusionXLPipeline(
        vae=xl_vae(sizes), text_encoder=xl_first(sizes), text_encoder_2=xl_second(sizes), tokenizer=load_tokenizer(),
        tokenizer_2=second_tokenizer(), unet=xl_unet(sizes), scheduler=task.scheduler(), add_watermarker=False,
    )  # fmt: skip
    with torch.no_grad():
        found = [pipeline.encode_prompt(text, do_classifier_free_guidance=False) for text in texts]
    return {"prompt_embeds": torch.cat([f[0] for f in found], dim=1), "pooled_prompt_embeds": found[0][2]}
