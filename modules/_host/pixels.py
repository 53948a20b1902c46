"""Masks and colours of `modules.processing` and `modules.masking`, under A1111's signatures."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from atelier.imaging.color import ColorTarget, color_target, lab_target, match_color
from atelier.imaging.masks import apply_overlay as lay_over
from atelier.imaging.masks import expand_box, fill_masked, mask_box, pad_box, prepare_mask

#: channels of the latents, and pixels for one latent cell, of Stable Diffusion
opt_C = 4  # noqa: N816
opt_f = 8


def create_binary_mask(image: Image.Image, round: bool = True) -> Image.Image:
    """`L`: from transparency where there is any, else from brightness; only black and white when `round`."""
    return prepare_mask(image, hard_alpha=round)


def setup_color_correction(image: Image.Image) -> ColorTarget:
    """What `apply_color_correction` needs of a picture."""
    return color_target(image)


def apply_color_correction(correction: ColorTarget, original_image: Image.Image) -> Image.Image:
    return match_color(original_image, correction)


def correction_for(corrections: Any, place: int) -> ColorTarget | None:
    """Of `p.color_corrections`: what `setup_color_correction` gave, or LAB pictures as A1111 keeps them."""
    if corrections is None or place >= len(corrections):
        return None
    found = corrections[place]
    return lab_target(found) if isinstance(found, np.ndarray) else found


def apply_overlay(image: Image.Image, paste_loc: Any, overlay: Image.Image | None) -> tuple[Image.Image, Image.Image]:
    """(the picture under the overlay, the picture without it). `paste_loc` is (x, y, width, height) or None."""
    if overlay is None:
        return image, image.copy()
    box = (
        None
        if paste_loc is None
        else (paste_loc[0], paste_loc[1], paste_loc[0] + paste_loc[2], paste_loc[1] + paste_loc[3])
    )
    return lay_over(image, overlay, box), uncrop(image, overlay.size, paste_loc) if paste_loc else image.copy()


def uncrop(image: Image.Image, dest_size: tuple[int, int], paste_loc: tuple[int, int, int, int]) -> Image.Image:
    """The picture at its place, (x, y, width, height), of an otherwise empty one."""
    x, y, width, height = paste_loc
    ground = Image.new("RGBA", dest_size)
    ground.paste(image.resize((width, height), Image.Resampling.LANCZOS), (x, y))
    return ground


def get_crop_region_v2(mask: Any, pad: int = 0) -> tuple[int, int, int, int] | None:
    """The box around what is not black; None when all is."""
    picture = mask if isinstance(mask, Image.Image) else Image.fromarray(np.asarray(mask))
    box = mask_box(picture)
    return box if box is None or not pad else pad_box(box, pad, picture.size)


def get_crop_region(mask: Any, pad: int = 0) -> tuple[int, int, int, int]:
    """As `get_crop_region_v2`; for a black mask A1111 gives a box turned inside out."""
    picture = mask if isinstance(mask, Image.Image) else Image.fromarray(np.asarray(mask))
    return get_crop_region_v2(picture, pad) or (picture.width, picture.height, 0, 0)


def expand_crop_region(
    crop_region: tuple[int, int, int, int], processing_width: int, processing_height: int, image_width: int,
    image_height: int,
) -> tuple[int, int, int, int]:  # fmt: skip
    return expand_box(crop_region, (processing_width, processing_height), (image_width, image_height))


def fill(image: Image.Image, mask: Image.Image) -> Image.Image:
    return fill_masked(image, mask)
