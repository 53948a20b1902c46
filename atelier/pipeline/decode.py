"""Decoding: latents become pixels."""

from __future__ import annotations

import torch

from atelier.checkpoints.approx import DECODER
from atelier.checkpoints.load import LoadedModel
from atelier.device.estimate import gigabytes
from atelier.families.tiles import TILE
from atelier.pipeline.autoencode import in_tiles, tiling, tiny
from atelier.pipeline.precision import of_vae
from atelier.pipeline.state import Run

#: a note of the run: that it decodes in tiles was told
TOLD = "tiles told"


def decode(run: Run, latents: torch.Tensor, model: LoadedModel | None = None) -> torch.Tensor:
    """[B, C, h, w] -> [B, 3, H, W] in 0..1. Picture by picture, since the decoder's memory is what runs out first. In
    tiles above the setting's side length, and when the estimate says that the whole picture has no room.

    `model` is the run's unless another made the latents. Raises `NumericFailure` when the decoder gives NaN even in
    float32.
    """
    model, services = model or run.model, run.services
    small = tiny(run, model, DECODER)
    if small is not None:
        return decode_small(run, small, latents)
    height, width = latents.shape[-2:]
    kernel = services.ladder.attention.choice.kernel
    tiled = asked = in_tiles(run, model, height, width)
    size = (min(height, TILE), min(width, TILE)) if tiled else (height, width)
    estimate = services.estimator.decode(model.vae, *size, kernel)
    with services.ladder.lease(model.vae, working=estimate.bytes, teller=run):
        free = services.residency.free()
        if not tiled and estimate.bytes > free and max(height, width) > TILE:
            tiled = True
        if tiled and not asked and TOLD not in run.notes:
            run.notes[TOLD] = True
            needs, left = gigabytes(estimate.bytes), gigabytes(free)
            run.comment(f"The picture is decoded in tiles: as a whole it needs about {needs}, and {left} are free.")
        return torch.cat([_one(run, model, one[None], tiled) for one in latents])


def _one(run: Run, model: LoadedModel, latents: torch.Tensor, tiled: bool) -> torch.Tensor:  # [1, C, h, w]
    services = run.services

    def work() -> torch.Tensor:
        if tiled or in_tiles(run, model, *latents.shape[-2:]):
            return model.decode(latents, tiled=True, wrap=tiling(run))
        kernel = services.ladder.attention.choice.kernel
        with services.estimator.measuring(services.estimator.decode(model.vae, *latents.shape[-2:], kernel)):
            return model.decode(latents)

    pixels = of_vae(run, model, lambda: services.ladder.run("decode", work, run))
    return ((pixels.float() + 1) / 2).clamp(0, 1).cpu()


def decode_small(run: Run, network: torch.nn.Module, latents: torch.Tensor) -> torch.Tensor:
    """[B, C, h, w] -> [B, 3, H, W] in 0..1 by a small decoder."""
    with run.services.ladder.lease(network, teller=run):
        return network(latents.float()).clamp(0, 1).cpu()
