"""Model: the parts of one loaded model, as the functions of a family see them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import nn

from atelier.families.latent import LatentSpace
from atelier.sampling.prediction import Prediction


@dataclass
class Model:
    """`denoiser` is the network that samplers call; `device` is where it computes.

    Components may be moved between calls, so a call asks the component where it is instead of trusting `device`.
    """

    denoiser: nn.Module
    text_encoder: nn.Module
    tokenizer: object
    vae: nn.Module
    prediction: Prediction
    latent: LatentSpace
    in_channels: int
    device: torch.device
    unet_dtype: torch.dtype
    vae_dtype: torch.dtype
    #: of families that read a prompt twice
    text_encoder_2: nn.Module | None = field(default=None, kw_only=True)
    #: networks beside the usual ones by name: "image_encoder", "depth"
    extras: Mapping[str, nn.Module] = field(default_factory=dict, kw_only=True)

    @property
    def text_encoders(self) -> tuple[nn.Module, ...]:
        return (self.text_encoder,) if self.text_encoder_2 is None else (self.text_encoder, self.text_encoder_2)

    @property
    def unet(self) -> nn.Module:
        return self.denoiser

    @property
    def is_inpainting(self) -> bool:
        """True when the network takes a mask and the masked picture beside the latents (9 channels)."""
        return self.in_channels == 2 * self.latent.channels + 1

    @property
    def takes_depth(self) -> bool:
        """True when the network takes a depth map beside the latents (5 channels)."""
        return self.in_channels == self.latent.channels + 1

    @property
    def varies(self) -> bool:
        """True when the network is told what a picture shows (unCLIP)."""
        return "image_encoder" in self.extras

    @property
    def guidance_width(self) -> int:
        """Of models that take the strength of guidance as an input (LCM): the numbers that it is told in, else 0."""
        return getattr(getattr(self.denoiser, "config", None), "time_cond_proj_dim", None) or 0

    @property
    def needs(self) -> tuple[str, ...]:
        """What the network takes beside latents and a text, in words."""
        kinds = {"depth": self.takes_depth, "edit": self.edits, "vary": self.varies, "mask": self.is_inpainting}
        return tuple(word for word, true in kinds.items() if true)

    @property
    def edits(self) -> bool:
        """True when the network takes the picture that it changes by instruction beside the latents (8 channels)."""
        return self.in_channels == 2 * self.latent.channels


def place_of(module: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Where a component is now, and the precision it computes in."""
    # Matrices may be stored in 8 bits (device/eight_bits.py); the others say what is calculated in.
    first = next(p for p in module.parameters() if p.is_floating_point() and p.itemsize > 1)
    return first.device, first.dtype
