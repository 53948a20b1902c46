"""Stable Diffusion 2 and its kinds, and latent consistency models, against the pipelines of diffusers."""

import pytest
import torch
from diffusers import (
    DDPMScheduler,
    LatentConsistencyModelPipeline,
    LCMScheduler,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
    StableUnCLIPImg2ImgPipeline,
)
from diffusers.pipelines.stable_diffusion.stable_unclip_image_normalizer import StableUnCLIPImageNormalizer
from safetensors.torch import save_file

from atelier.checkpoints.load import Placement, load_checkpoint
from atelier.checkpoints.shelf import CheckpointFile
from atelier.families.clip import load_tokenizer
from atelier.families.family import EncodeOptions
from atelier.families.unclip import image_vectors, noised
from atelier.sampling.conditioning import Conditioning, ScheduledEncoding
from atelier.sampling.denoise import Denoiser
from atelier.sampling.embedded_guidance import EmbeddedGuidance, embedded_guidance
from atelier.sampling.guidance import ClassifierFree
from atelier.sampling.prediction import ConsistencyPrediction
from atelier.sampling.samplers.lcm import lcm
from atelier.sampling.step import ignore
from tests.parity.loops import Task, ours, parts
from tests.parity.test_kinds import close, picture
from tests.tiny import TinySizes, tiny_unet, tiny_vae, write_tiny_checkpoint
from tests.tiny_sd2 import PROJECTION, image_module, sd2_sizes, text_module, write_tiny_sd2


def opened(path):
    file = CheckpointFile(path.name, path, None, path.with_suffix(".yaml"))
    return load_checkpoint(file, Placement(torch.device("cpu")))


def sd2_parts(sizes):
    tokenizer = load_tokenizer()
    tokenizer.pad_token = "!"
    assert tokenizer.pad_token_id == 0
    return dict(
        vae=tiny_vae(sizes), text_encoder=text_module(sizes), tokenizer=tokenizer, unet=tiny_unet(sizes),
    )  # fmt: skip


def asked(pipeline, task, **given):
    pipeline.set_progress_bar_config(disable=True)
    return pipeline(
        prompt=task.prompt, negative_prompt=task.negative, num_inference_steps=task.steps,
        guidance_scale=task.guidance, output_type="pt", height=task.side, width=task.side, **given,
    ).images  # fmt: skip


NO_CHECK = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}


@pytest.mark.parametrize("kind", ["eps", "v"])
def test_text_to_image(tmp_path, kind):
    sizes, task = sd2_sizes(prediction=kind, seed=50), Task(prediction=kind)
    model = opened(write_tiny_sd2(tmp_path, sizes=sizes, dtype=torch.float32))
    assert (model.family.name, model.prediction.kind) == ("sd2", kind)
    pipeline = StableDiffusionPipeline(**sd2_parts(sizes), scheduler=task.scheduler(), **NO_CHECK)
    close(ours(model, task), asked(pipeline, task, latents=task.noise()))


def test_inpainting(tmp_path):
    sizes, task = sd2_sizes(in_channels=9, seed=51), Task()
    model = opened(write_tiny_sd2(tmp_path, sizes=sizes, dtype=torch.float32))
    assert model.is_inpainting and model.prediction.kind == "eps"
    mask = torch.zeros(1, 1, 64, 64)
    mask[:, :, 16:48, 24:] = 1
    masked = model.encode_images((picture() * 2 - 1) * (mask < 0.5))
    pipeline = StableDiffusionInpaintPipeline(**sd2_parts(sizes), scheduler=task.scheduler(), **NO_CHECK)
    other = asked(
        pipeline, task, image=picture(), mask_image=mask, latents=task.noise(), strength=1.0,
        masked_image_latents=masked,
    )  # fmt: skip
    close(ours(model, task, concat=torch.cat([mask[:, :, ::8, ::8], masked], dim=1)), other)


@pytest.mark.parametrize(("level", "beside"), [(0, False), (400, False), (400, True)])
def test_variation_of_a_picture(tmp_path, level, beside):
    """`beside`: with statistics of the vectors, as those of the "l" model stand in a file of their own."""
    sizes = sd2_sizes(labels=2 * PROJECTION, prediction="v", seed=52)
    task = Task(prediction="v")
    normalizer = StableUnCLIPImageNormalizer(PROJECTION)
    if beside:
        generator = torch.Generator().manual_seed(7)
        mean, std = (torch.rand(1, PROJECTION, generator=generator) + more for more in (-0.5, 0.5))
        normalizer.load_state_dict({"mean": mean, "std": std})
        save_file({"mean": mean, "std": std}, tmp_path / "ViT-L-14_stats.safetensors")
    model = opened(write_tiny_sd2(tmp_path, sizes=sizes, dtype=torch.float32))
    assert model.varies and model.blueprint.variant == "variation"
    vectors = image_vectors(model, torch.nn.functional.interpolate(picture(), 32) * 2 - 1)
    noise = torch.randn(1, PROJECTION, generator=torch.Generator().manual_seed(6))
    told = noised(vectors, level, noise, model.extras.get("noise_statistics"))
    pipeline = StableUnCLIPImg2ImgPipeline(
        **sd2_parts(sizes), scheduler=task.scheduler(), feature_extractor=None, image_encoder=image_module(),
        image_normalizer=normalizer,
        image_noising_scheduler=DDPMScheduler(beta_schedule="squaredcos_cap_v2"),
    )  # fmt: skip
    other = asked(
        pipeline, task, image_embeds=vectors, noise_level=level, latents=task.noise() * task.scheduler().sigmas[0],
        generator=torch.Generator().manual_seed(6),
    )  # fmt: skip
    mine = ours(model, task, added={"image": told}, negative_added={"image": torch.zeros_like(told)})
    close(mine, other)
    plain = torch.zeros_like(told)
    assert (ours(model, task, added={"image": plain}) - mine).abs().max() > 1e-3


def test_latent_consistency(tmp_path):
    width, task = 8, Task(steps=4, guidance=8.5, negative="")
    sizes = TinySizes(seed=53, unet_extra={"time_cond_proj_dim": width})
    model = opened(write_tiny_checkpoint(tmp_path, sizes=sizes, dtype=torch.float32))
    assert model.guidance_width == width
    scheduler = LCMScheduler()
    pipeline = LatentConsistencyModelPipeline(**parts(sizes), scheduler=scheduler, **NO_CHECK)
    pipeline.set_progress_bar_config(disable=True)
    other = pipeline(
        task.prompt, num_inference_steps=4, guidance_scale=task.guidance, latents=task.noise(), height=64, width=64,
        generator=torch.Generator().manual_seed(8), output_type="pt",
    ).images  # fmt: skip
    prediction = ConsistencyPrediction("eps", model.prediction.alphas_cumprod)
    sigmas = torch.cat([prediction.t_to_sigma(scheduler.timesteps.float()), torch.zeros(1)])
    assert prediction.sigma_to_t(sigmas[:-1]).tolist() == scheduler.timesteps.tolist()
    text = ScheduledEncoding.constant(model.encode_texts([task.prompt], EncodeOptions())[0])
    told = embedded_guidance(torch.tensor([task.guidance - 1]), width)
    denoiser = Denoiser(
        call=model.call_denoiser, prediction=prediction, guidance=EmbeddedGuidance(ClassifierFree(task.guidance)),
        conditioning=Conditioning(positive=(((1.0, text),),), negative=(text,), added={"guidance": told}),
    )  # fmt: skip
    generator = torch.Generator().manual_seed(8)
    with torch.inference_mode():
        latents = lcm(
            denoiser, task.noise() * (1 + sigmas[0] ** 2) ** 0.5, sigmas,
            noise=lambda *_: torch.randn(1, 4, 8, 8, generator=generator), on_step=ignore,
        )  # fmt: skip
        close((model.decode(latents) / 2 + 0.5).clamp(0, 1), other)
