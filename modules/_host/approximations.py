"""`modules.sd_vae_approx` and `sd_vae_taesd`: the small stand-ins for the open model's autoencoder."""

from __future__ import annotations

import torch
from torch import nn

from atelier.base.errors import NotReady
from atelier.checkpoints.approx import DECODER, ENCODER
from atelier.checkpoints.load import LoadedModel
from modules._host.attach import host


def open_model() -> LoadedModel:
    """Raises `NotReady` where none is."""
    model = host().sd_model
    if model is None:
        raise NotReady("No model is open.", remedy="Load a checkpoint first.")
    return model


def _pickles() -> bool:
    return bool(host().settings.get("allow_pickle"))


def cheap_approximation(sample: torch.Tensor) -> torch.Tensor:  # scaled [C, h, w] -> [3, h, w] in -1..1
    """One colour a cell, by a matrix."""
    space = host().engine_services().approx.latent(open_model(), _pickles())
    return space.preview_rgb(sample[None])[0] * 2 - 1


def decoder_model() -> nn.Module | None:
    """Scaled latents [B, C, h, w] -> pixels [B, 3, H, W] in 0..1; None where there is no file for the open model."""
    return host().engine_services().approx.network(open_model(), DECODER, _pickles())


def encoder_model() -> nn.Module | None:
    """The other way."""
    return host().engine_services().approx.network(open_model(), ENCODER, _pickles())
