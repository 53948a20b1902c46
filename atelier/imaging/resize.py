"""Fitting a picture into a size: stretch, crop, or fill with stretched edges."""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image

from atelier.base.errors import BadRequest

MODES = ("Just resize", "Crop and resize", "Resize and fill", "Just resize (latent upscale)")
STRETCH, CROP, FILL, LATENT = range(4)

#: makes a picture exactly (width, height); an upscaler may stand here
Resampler = Callable[[Image.Image, int, int], Image.Image]


def lanczos(image: Image.Image, width: int, height: int) -> Image.Image:
    if image.size == (width, height):
        return image.copy()
    return image.resize((width, height), Image.Resampling.LANCZOS)


def resize(
    image: Image.Image, width: int, height: int, mode: int = STRETCH, resampler: Resampler = lanczos
) -> Image.Image:
    """`mode` 0 stretches, 1 covers the size and crops the middle, 2 fits inside and stretches the edges outward.

    Mode 3 scales latents, not pixels: a picture or mask that must nevertheless follow is stretched as in mode 0.
    Raises `BadRequest`.
    """
    if width < 1 or height < 1:
        raise BadRequest("size", f"a picture cannot be {width}x{height}.", remedy="Use at least 1 pixel each way.")
    if mode in (STRETCH, LATENT):
        return resampler(image, width, height)
    if mode not in (CROP, FILL):
        raise BadRequest("resize_mode", f"there is no resize mode {mode}.", remedy="Use 0, 1, 2 or 3.")
    inner = _covering(image.size, width, height) if mode == CROP else _inside(image.size, width, height)
    scaled = resampler(image, *inner)
    left, top = width // 2 - inner[0] // 2, height // 2 - inner[1] // 2
    result = Image.new(image.mode, (width, height))
    result.paste(scaled, (left, top))
    if mode == FILL:
        _stretch_edges(result, scaled, left, top)
    return result


def fit_within(image: Image.Image, side: int) -> Image.Image:
    """A copy whose longer side is at most `side` pixels; never enlarged."""
    longest = max(image.size)
    if longest <= side:
        return image.copy()
    return lanczos(image, max(1, round(image.width * side / longest)), max(1, round(image.height * side / longest)))


def _covering(size: tuple[int, int], width: int, height: int) -> tuple[int, int]:
    own_width, own_height = size
    if width * own_height > own_width * height:
        return width, own_height * width // own_width
    return own_width * height // own_height, height


def _inside(size: tuple[int, int], width: int, height: int) -> tuple[int, int]:
    own_width, own_height = size
    if width * own_height < own_width * height:
        return width, max(1, own_height * width // own_width)
    return max(1, own_width * height // own_height), height


def _stretch_edges(result: Image.Image, scaled: Image.Image, left: int, top: int) -> None:
    width, height = result.size
    right, bottom = left + scaled.width, top + scaled.height
    bars = (
        ((0, 0, left, height), (0, 0, 1, scaled.height)),
        ((right, 0, width, height), (scaled.width - 1, 0, scaled.width, scaled.height)),
        ((0, 0, width, top), (0, 0, scaled.width, 1)),
        ((0, bottom, width, height), (0, scaled.height - 1, scaled.width, scaled.height)),
    )
    for (x1, y1, x2, y2), edge in bars:
        if x2 > x1 and y2 > y1:
            strip = scaled.crop(edge).resize((x2 - x1, y2 - y1), Image.Resampling.NEAREST)
            result.paste(strip, (x1, y1))
