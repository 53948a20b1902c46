"""Models that are fed more than latents and a text, against the pipelines of diffusers on the same weights."""

import pytest
import torch
from diffusers import (
    StableDiffusionDepth2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionInstructPix2PixPipeline,
)

from atelier.checkpoints.load import Placement, load_checkpoint
from atelier.checkpoints.shelf import CheckpointFile
from atelier.pipeline.beside import scaled_depth
from atelier.sampling.guidance import ClassifierFree
from atelier.sampling.image_guidance import ImageGuidance
from tests.parity.loops import Task, ours, parts
from tests.tiny import TinySizes, write_tiny_checkpoint

#: the issue's limit; what is reached is a hundredth of it
LIMIT = 1 / 255
TASK = Task()


def loaded(folder, sizes):
    path = write_tiny_checkpoint(folder, sizes=sizes, dtype=torch.float32)
    return load_checkpoint(
        CheckpointFile(path.name, path, None, path.with_suffix(".yaml")), Placement(torch.device("cpu"))
    )


def picture():
    """[1, 3, 64, 64] in 0..1: something smooth."""
    generator = torch.Generator().manual_seed(3)
    return torch.nn.functional.interpolate(torch.rand(1, 3, 5, 5, generator=generator), 64, mode="bicubic").clamp(0, 1)


def run(kind, sizes, **given):
    rest = {"depth_estimator": None} if kind is StableDiffusionDepth2ImgPipeline else {"safety_checker": None}
    rest["feature_extractor"] = None
    pipeline = kind(**parts(sizes), scheduler=TASK.scheduler(), **rest)
    pipeline.set_progress_bar_config(disable=True)
    if kind is StableDiffusionDepth2ImgPipeline:
        # It takes no latents, and would start from the source under noise of its own.
        pipeline.prepare_latents = lambda *_, **__: TASK.noise() * TASK.scheduler().sigmas[0]
    return pipeline(
        TASK.prompt, negative_prompt=TASK.negative, num_inference_steps=TASK.steps, guidance_scale=TASK.guidance,
        output_type="pt", **given,
    ).images  # fmt: skip


def close(mine, other):
    assert mine.shape == other.shape and mine.std() > 0.005
    assert (mine - other).abs().max() < LIMIT / 20


@pytest.mark.parametrize("strength", [1.5, 1.0, 2.5])
def test_instruct_pix2pix(tmp_path, strength):
    sizes = TinySizes(in_channels=8, seed=41)
    model = loaded(tmp_path, sizes)
    assert model.edits and model.blueprint.variant == "edit"
    seen = model.latent.raw(model.encode_images(picture() * 2 - 1))
    mine = ours(
        model, TASK, ImageGuidance(ClassifierFree(TASK.guidance), strength),
        concat=seen, blank_concat=torch.zeros_like(seen),
    )  # fmt: skip
    other = run(
        StableDiffusionInstructPix2PixPipeline, sizes, image=picture(), image_guidance_scale=strength,
        latents=TASK.noise(),
    )  # fmt: skip
    close(mine, other)


def test_depth_to_image(tmp_path):
    sizes = TinySizes(in_channels=5, seed=42)
    model = loaded(tmp_path, sizes)
    assert model.takes_depth and model.blueprint.variant == "depth"
    depth = picture()[:, 0] * 30 + 5  # [1, 64, 64]
    mine = ours(model, TASK, concat=scaled_depth(depth[:, None], (8, 8)))
    other = run(StableDiffusionDepth2ImgPipeline, sizes, image=picture(), depth_map=depth, strength=1.0)
    close(mine, other)


def test_inpainting(tmp_path):
    sizes = TinySizes(in_channels=9, seed=43)
    model = loaded(tmp_path, sizes)
    mask = torch.zeros(1, 1, 64, 64)
    mask[:, :, 16:48, 24:] = 1
    masked = model.encode_images((picture() * 2 - 1) * (mask < 0.5))
    small = torch.nn.functional.interpolate(mask, size=(8, 8))
    mine = ours(model, TASK, concat=torch.cat([small, masked], dim=1))
    other = run(
        StableDiffusionInpaintPipeline, sizes, image=picture(), mask_image=mask, latents=TASK.noise(), strength=1.0,
        height=64, width=64, masked_image_latents=masked,
    )  # fmt: skip
    close(mine, other)
