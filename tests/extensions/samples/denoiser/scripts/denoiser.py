"""Pattern: callbacks in the denoiser, and before a picture is saved."""

from pathlib import Path

import torch

from modules import script_callbacks

steps, saved, shapes = [], [], []
strength = {"value": 0.0}


def on_cfg_denoiser(params):
    steps.append((params.sampling_step, params.total_sampling_steps))
    shapes.append((tuple(params.x.shape), tuple(params.text_cond.shape), tuple(params.text_uncond.shape)))
    if strength["value"]:
        params.text_cond = params.text_cond * (1 + strength["value"])


def on_cfg_denoised(params):
    assert params.x.shape[0] == shapes[-1][0][0]


def on_cfg_after_cfg(params):
    assert torch.isfinite(params.x).all()


def on_before_image_saved(params):
    params.pnginfo["parameters"] += ", Sample saver: yes"
    params.filename = str(Path(params.filename).with_name("renamed.png"))


def on_image_saved(params):
    saved.append((params.filename, params.image.size, type(params.p).__name__))


script_callbacks.on_cfg_denoiser(on_cfg_denoiser)
script_callbacks.on_cfg_denoised(on_cfg_denoised)
script_callbacks.on_cfg_after_cfg(on_cfg_after_cfg)
script_callbacks.on_before_image_saved(on_before_image_saved)
script_callbacks.on_image_saved(on_image_saved)
