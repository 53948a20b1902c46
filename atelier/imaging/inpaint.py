"""InpaintFrame: a picture and its mask brought to the size the model works at, and the way back."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from atelier.imaging.decode import flatten
from atelier.imaging.masks import (
    ORIGINAL,
    Box,
    apply_overlay,
    crop_region,
    cut_out,
    fill_masked,
    prepare_mask,
    whole_picture_mask,
)
from atelier.imaging.resize import FILL, LATENT, Resampler, lanczos, resize


@dataclass(frozen=True)
class InpaintOptions:
    """`width` and `height` are those the model works at, in pixels. `fill` is 0 blurred surroundings, 1 original,
    2 latent noise, 3 latent nothing. `padding` counts around the mask when `only_masked`."""

    width: int
    height: int
    resize_mode: int = 0
    invert: bool = False
    blur_x: float = 4
    blur_y: float = 4
    fill: int = ORIGINAL
    only_masked: bool = True
    padding: int = 32
    hard_mask: bool = True
    background: str = "#ffffff"


@dataclass(frozen=True)
class InpaintFrame:
    """`image` RGB for the encoder and `mask` L, both of working size.

    `mask` is None when it was blank under "only masked": plain img2img follows. `overlay` RGBA and `box` bring the
    result back; `full_mask` L and `original`, the picture as it
    was, have the overlay's size.
    """

    image: Image.Image
    mask: Image.Image | None = None
    overlay: Image.Image | None = None
    box: Box | None = None
    full_mask: Image.Image | None = None
    original: Image.Image | None = None

    def finish(self, result: Image.Image) -> Image.Image:
        """The result under the untouched parts of the original, at its place."""
        return result if self.overlay is None else apply_overlay(result, self.overlay, self.box)


def frame_inpaint(
    image: Image.Image, mask: Image.Image, options: InpaintOptions, resampler: Resampler = lanczos
) -> InpaintFrame:
    """The mask is first brought to the picture's size where it differs. Raises nothing for sound pictures."""
    image = flatten(image, options.background)
    mask = prepare_mask(
        mask, invert=options.invert, blur_x=options.blur_x, blur_y=options.blur_y, hard_alpha=options.hard_mask
    )
    if mask.size != image.size:
        mask = mask.resize(image.size, Image.Resampling.BICUBIC)
    if options.only_masked:
        return _only_masked(image, mask, options, resampler)
    return _whole(image, mask, options, resampler)


def _only_masked(image: Image.Image, mask: Image.Image, options: InpaintOptions, resampler: Resampler) -> InpaintFrame:
    target = (options.width, options.height)
    box = crop_region(mask, options.padding, target)
    if box is None:
        return InpaintFrame(_resized(image, options, resampler))
    part = resize(image.crop(box), *target, FILL, resampler)
    part_mask = resize(mask.crop(box), *target, FILL)
    return InpaintFrame(_filled(part, part_mask, options.fill), part_mask, cut_out(image, mask), box, mask, image)


def _whole(image: Image.Image, mask: Image.Image, options: InpaintOptions, resampler: Resampler) -> InpaintFrame:
    image = _resized(image, options, resampler)
    mask = resize(mask, options.width, options.height, options.resize_mode)
    full = whole_picture_mask(mask)
    overlay_of = image if image.size == full.size else resize(image, *full.size)
    if image.size != mask.size:
        filled = _filled(image, mask.resize(image.size), options.fill)
    else:
        filled = _filled(image, mask, options.fill)
    return InpaintFrame(filled, mask, cut_out(overlay_of, full), None, full, overlay_of)


def _resized(image: Image.Image, options: InpaintOptions, resampler: Resampler) -> Image.Image:
    # Mode 3 leaves the pixels alone: the pipeline scales the latents after encoding.
    if options.resize_mode == LATENT:
        return image
    return resize(image, options.width, options.height, options.resize_mode, resampler)


def _filled(image: Image.Image, mask: Image.Image, fill: int) -> Image.Image:
    # Noise and nothing replace the latents later; filling the pixels first keeps what was under the mask
    # from leaking into the latents beside it.
    return image if fill == ORIGINAL else fill_masked(image, mask)
