"""Decoding: latents become pixels."""

from __future__ import annotations

from collections.abc import Callable

import torch

from atelier.base.errors import NumericFailure
from atelier.device.estimate import gigabytes
from atelier.pipeline.state import Run

TILE = 64  # latent cells
OVERLAP = 16


def decode(run: Run, latents: torch.Tensor) -> torch.Tensor:  # [B, C, h, w] -> [B, 3, H, W] in 0..1
    """Picture by picture, since the decoder's memory is what runs out first. In tiles above the setting's side length,
    and when the estimate says that the whole picture has no room.

    Raises `NumericFailure` when the decoder gives NaN even in float32.
    """
    model, services = run.model, run.services
    height, width = latents.shape[-2:]
    kernel, limit = services.ladder.attention.choice.kernel, run.settings.vae_tile_from
    in_tiles = services.ladder.limits.tile_vae or bool(limit and max(height, width) * model.latent.factor > limit)
    # A picture of no more than one tile is decoded whole in any case.
    size = (min(height, TILE), min(width, TILE)) if in_tiles else (height, width)
    estimate = services.estimator.decode(model.vae, *size, kernel)
    with services.ladder.lease(model.vae, working=estimate.bytes, teller=run):
        free = services.residency.free()
        if not in_tiles and estimate.bytes > free and max(height, width) > TILE:
            in_tiles = True
            needs, left = gigabytes(estimate.bytes), gigabytes(free)
            run.comment(f"The picture is decoded in tiles: as a whole it needs about {needs}, and {left} are free.")
        return torch.cat([_one(run, one[None], in_tiles) for one in latents])


def _one(run: Run, latents: torch.Tensor, in_tiles: bool) -> torch.Tensor:  # [1, C, h, w] -> [1, 3, H, W]
    model, services = run.model, run.services

    def work() -> torch.Tensor:
        if in_tiles or services.ladder.limits.tile_vae:
            return tiled_decode(model.decode, latents, model.latent.factor)
        kernel = services.ladder.attention.choice.kernel
        with services.estimator.measuring(services.estimator.decode(model.vae, *latents.shape[-2:], kernel)):
            return model.decode(latents)

    pixels = services.ladder.run("decode", work, run)
    if (
        bool(torch.isnan(pixels).any())
        and run.settings.auto_vae_precision
        and next(model.vae.parameters()).dtype != torch.float32
    ):
        run.comment("The VAE gave NaN in half precision; it was switched to float32.")
        model.use_vae_dtype(torch.float32)
        pixels = services.ladder.run("decode", work, run)
    if bool(torch.isnan(pixels).any()):
        raise NumericFailure(
            "The VAE gave NaN (not a number) instead of pixels.", remedy="Choose another VAE in Settings."
        )
    return ((pixels.float() + 1) / 2).clamp(0, 1).cpu()


def tiled_decode(
    decode_one: Callable[[torch.Tensor], torch.Tensor],
    latents: torch.Tensor,
    factor: int,
    tile: int = TILE,
    overlap: int = OVERLAP,
) -> torch.Tensor:  # [B, C, h, w] -> [B, 3, h * factor, w * factor]
    """Decodes overlapping tiles and blends them with weights that fall off linearly towards each tile's edge."""
    batch, _, height, width = latents.shape
    total = torch.zeros(batch, 3, height * factor, width * factor)
    weight = torch.zeros(1, 1, height * factor, width * factor)
    for top in _starts(height, tile, overlap):
        for left in _starts(width, tile, overlap):
            piece = latents[:, :, top : top + tile, left : left + tile]
            pixels = decode_one(piece).float().cpu()
            ramp = _ramp(pixels.shape[-2], overlap * factor)[:, None] * _ramp(pixels.shape[-1], overlap * factor)[None]
            y, x = top * factor, left * factor
            total[:, :, y : y + pixels.shape[-2], x : x + pixels.shape[-1]] += pixels * ramp
            weight[:, :, y : y + pixels.shape[-2], x : x + pixels.shape[-1]] += ramp
    return total / weight


def _starts(length: int, tile: int, overlap: int) -> list[int]:
    if length <= tile:
        return [0]
    starts = list(range(0, length - tile, tile - overlap))
    return [*starts, length - tile]


def _ramp(length: int, overlap: int) -> torch.Tensor:
    distance = torch.minimum(torch.arange(length) + 1, length - torch.arange(length)).float()
    return (distance / overlap).clamp(max=1.0)
