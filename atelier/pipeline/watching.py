"""How a run lets its tools be watched: they hear a wish to stop, and take the sizes of tiles from the settings."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

from PIL import Image

from atelier.imaging.resize import Resampler, lanczos
from atelier.tools.watch import Watch, nothing


def watch_of(run: Any, told: Callable[[int, int], Any] = nothing) -> Watch:
    """`run` is a `Run` or an `ExtrasRun`."""
    settings = run.settings
    swin = (settings.SWIN_tile, settings.SWIN_tile_overlap)
    tiles = {
        "": (settings.ESRGAN_tile, settings.ESRGAN_tile_overlap),
        "DAT": (settings.DAT_tile, settings.DAT_tile_overlap), "SwinIR": swin, "Swin2SR": swin,
    }  # fmt: skip
    return Watch(run.token.check, told, MappingProxyType(tiles), run, run.services.ladder)


def resampler_of(run: Any) -> Resampler:
    """How pictures of img2img are brought to their size: by the upscaler of the settings where they become larger."""
    name = run.settings.upscaler_for_img2img
    if name in ("", "None"):
        return lanczos
    upscaler = run.services.upscalers.get(name, "settings.upscaler_for_img2img")

    def resample(image: Image.Image, width: int, height: int) -> Image.Image:
        larger = width > image.width or height > image.height
        return upscaler.to(image, width, height, watch_of(run)) if larger else lanczos(image, width, height)

    return resample
