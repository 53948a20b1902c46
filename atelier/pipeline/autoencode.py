"""Autoencode: pixels become latents, as a whole, in tiles when large, or by the small encoder."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

import torch

from atelier.checkpoints.approx import DECODER, ENCODER
from atelier.checkpoints.load import LoadedModel
from atelier.families.tiles import TILE
from atelier.pipeline.precision import of_vae
from atelier.pipeline.state import Run

METHODS = MappingProxyType({DECODER: "sd_vae_decode_method", ENCODER: "sd_vae_encode_method"})
KEYS = MappingProxyType({DECODER: "VAE Decoder", ENCODER: "VAE Encoder"})


def in_tiles(run: Run, model: LoadedModel, height: int, width: int) -> bool:
    """Whether the setting, or a device that ran out of memory in this job, asks for tiles. Sides are in cells."""
    limit = run.settings.vae_tile_from
    asked = run.services.ladder.limits.tile_vae or bool(limit and max(height, width) * model.latent.factor > limit)
    return asked and max(height, width) > TILE


def no_room(run: Run, model: LoadedModel, height: int, width: int) -> bool:
    """Whether the device cannot encode a picture of so many cells as a whole."""
    services = run.services
    estimate = services.estimator.encode(model.vae, height, width, services.ladder.attention.choice.kernel)
    return max(height, width) > TILE and estimate.bytes > services.residency.free()


def tiling(run: Run) -> bool:
    """Whether opposite edges of the pictures are to fit together."""
    own = run.request.output.tiling
    return run.settings.tiling if own is None else own


def tiny(run: Run, model: LoadedModel, side: str) -> torch.nn.Module | None:
    """The small network that settings ask for in the place of the VAE, where its file is there."""
    method = run.settings[METHODS[side]]
    network = run.services.approx.network(model, side, run.settings.allow_pickle) if method != "Full" else None
    if network is not None:
        run.notes[KEYS[side]] = method
    elif method != "Full":
        reason = run.services.approx.problem(model, side)
        told = f"There is no usable {method} {side} for this model in models/VAE-approx; the VAE was used. {reason}"
        if told.strip() not in run.comments:
            run.comment(told.strip())
    return network


def encode_pixels(
    run: Run, model: LoadedModel, pixels: torch.Tensor, generator: Callable[[], torch.Generator | None]
) -> torch.Tensor:  # [1, 3, H, W] in -1..1 -> [1, C, h, w]
    """`generator` makes a new one for each try; None takes the mean of what the encoder gives.

    The VAE must be on lease.
    """
    small = tiny(run, model, ENCODER)
    if small is not None:
        with run.services.ladder.lease(small, teller=run):
            return small((pixels.float() + 1) / 2)
    cells = [side // model.latent.factor for side in pixels.shape[-2:]]

    crowded = no_room(run, model, *cells)

    def work() -> torch.Tensor:
        tiled = crowded or in_tiles(run, model, *cells)
        return model.encode_images(pixels, generator=generator(), tiled=tiled, wrap=tiling(run))

    return of_vae(run, model, lambda: run.services.ladder.run("picture", work, run)).float()
