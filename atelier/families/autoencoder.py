"""The autoencoder: pictures -> latents -> pictures, for every family that uses AutoencoderKL."""

from __future__ import annotations

from dataclasses import replace

import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from torch import nn

from atelier.families.latent import LatentSpace
from atelier.families.model import Model, place_of
from atelier.families.tiles import decode_in_tiles, encode_in_tiles

#: plain latents from which a preview matrix is fitted; it has 5 rows to find
FITTED = 20


def encode_images(
    model: Model,
    pixels: torch.Tensor,
    generator: torch.Generator | None = None,
    noise: torch.Tensor | None = None,
    tiled: bool = False,
    wrap: bool = False,
) -> torch.Tensor:  # [B, 3, H, W] -> [B, C, H / f, W / f], float32
    """Scaled latents of pictures in -1..1, whose sides must be whole cells.

    The encoder gives a mean and a spread. `noise`, of the shape of the result, or `generator` draws from them;
    without either the mean is taken. `tiled` works piece by piece; with `wrap` opposite edges of the picture meet.
    """
    device, dtype = place_of(model.vae)
    with torch.no_grad():
        pixels = pixels.to(device, dtype)
        if tiled:
            spread = DiagonalGaussianDistribution(encode_in_tiles(model.vae, pixels, wrap))
        else:
            spread = model.vae.encode(pixels).latent_dist
        mean, std = spread.mean.float(), spread.std.float()
        if noise is None and generator is not None:
            noise = torch.randn(mean.shape, generator=generator, device=generator.device)
        raw = mean if noise is None else mean + std * noise.to(mean)
    return model.latent.scaled(raw)


def decode(
    model: Model, latents: torch.Tensor, tiled: bool = False, wrap: bool = False
) -> torch.Tensor:  # [B, C, h, w] -> [B, 3, h * f, w * f], float32
    """Pictures of scaled latents, about -1..1; not clamped, so that a NaN can still be seen. See `encode_images`."""
    device, dtype = place_of(model.vae)
    with torch.no_grad():
        raw = model.latent.raw(latents.to(device, torch.float32)).to(dtype)
        if tiled:
            return torch.cat([decode_in_tiles(model.vae, one[None], wrap) for one in raw])
        return model.vae.decode(raw, return_dict=False)[0].float()


def with_fitted_preview(latent: LatentSpace, vae: nn.Module) -> LatentSpace:
    """`latent` with a preview matrix fitted to this autoencoder: plain latents are decoded, and the colours explained
    by least squares. For autoencoders of their own, which the usual matrix does not fit."""
    device, dtype = place_of(vae)
    generator = torch.Generator().manual_seed(0)
    cells = torch.randn(FITTED, latent.channels, 1, 1, generator=generator)
    with torch.no_grad():
        raw = latent.raw(cells.expand(-1, -1, 4, 4)).to(device, dtype)
        # A border of plain latents is shaded by the padding of the convolutions; the middle is not.
        colours = vae.decode(raw, return_dict=False)[0].float().cpu()
    side = colours.shape[-1]
    colours = colours[:, :, side // 4 : -side // 4, side // 4 : -side // 4].mean(dim=(2, 3)).clamp(-1, 1)  # [FITTED, 3]
    inputs = torch.cat([cells.reshape(FITTED, -1), torch.ones(FITTED, 1)], dim=1)
    solution = torch.linalg.lstsq(inputs, colours).solution  # [C + 1, 3]
    rows = [tuple(float(x) for x in row) for row in solution]
    return replace(latent, preview=tuple(rows[:-1]), preview_bias=rows[-1])
