"""Masks of inpainting on pixels: preparing, bounding, filling, cutting out and pasting back. White is repainted."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageChops, ImageFilter, ImageOps

from atelier.imaging.resize import CROP, resize

Box = tuple[int, int, int, int]  # left, top, right, bottom; right and bottom are outside

FILL_BLUR, ORIGINAL, FILL_NOISE, FILL_NOTHING = range(4)
# (radius, times) of the blurred surroundings laid over each other, from far to near (sampling contract, section 8).
_FILL_STEPS = ((256, 1), (64, 1), (16, 2), (4, 4), (2, 2), (0, 1))
# Beyond this kernel size the Fourier transform is faster than adding shifted copies.
_LONG_KERNEL = 41


def prepare_mask(
    image: Image.Image, *, invert: bool = False, blur_x: float = 0, blur_y: float = 0, hard_alpha: bool = True
) -> Image.Image:
    """`L`, of the picture's size: from alpha where any is transparent, else from brightness; inverted, then blurred.

    `hard_alpha` makes alpha above 128 white and the rest black. Blur is the sigma in pixels, across and down.
    """
    mask = None
    if image.mode in ("RGBA", "LA"):
        alpha = image.getchannel("A")
        if alpha.getextrema() != (255, 255):
            mask = alpha.point(lambda a: 255 if a > 128 else 0) if hard_alpha else alpha
    if mask is None:
        mask = image.convert("L")
    if invert:
        mask = ImageOps.invert(mask)
    return gaussian_blur(mask, blur_x, blur_y)


def gaussian_blur(mask: Image.Image, radius_x: float, radius_y: float) -> Image.Image:
    """OpenCV's Gaussian on an `L` picture: sigma = radius, kernel 2*int(2.5*r+0.5)+1, edges mirrored without repeating.

    Across first, rounded to 8 bits, then down, as two calls of OpenCV would do.
    """
    values = np.asarray(mask.convert("L"))
    for axis, radius in ((1, radius_x), (0, radius_y)):
        if radius > 0 and values.shape[axis] > 1:
            values = _blur_axis(values, float(radius), axis)
    return Image.fromarray(values)


def _blur_axis(values: np.ndarray, sigma: float, axis: int) -> np.ndarray:  # uint8 [H, W] -> uint8 [H, W]
    kernel = _kernel(sigma)
    half = len(kernel) // 2
    if half == 0:
        return values
    lines = values if axis == 1 else values.T
    length = lines.shape[1]
    padded = np.pad(lines.astype(np.uint32), ((0, 0), (half, half)), mode="reflect")
    if len(kernel) <= _LONG_KERNEL:
        total = padded[:, half : half + length] * kernel[half]
        for step in range(1, half + 1):
            both = padded[:, half - step : half - step + length] + padded[:, half + step : half + step + length]
            total += both * kernel[half + step]
    else:
        size = padded.shape[1]
        spectrum = np.fft.rfft(padded, axis=1) * np.fft.rfft(kernel, n=size)
        total = np.rint(np.fft.irfft(spectrum, n=size, axis=1)[:, 2 * half : 2 * half + length]).astype(np.uint32)
    rounded = np.minimum((total + 128) >> 8, 255).astype(np.uint8)
    return rounded if axis == 1 else np.ascontiguousarray(rounded.T)


def _kernel(sigma: float) -> np.ndarray:  # uint32 [2 * half + 1], sums to 256
    """OpenCV blurs 8-bit pictures with weights in 1/256, the rounding error of each carried on from the ends inward."""
    half = int(2.5 * sigma + 0.5)
    exact = np.exp(-(np.arange(-half, half + 1, dtype=np.float64) ** 2) / (2 * sigma * sigma))
    exact = exact / exact.sum() * 256
    kernel = np.zeros(2 * half + 1, dtype=np.uint32)
    error = 0.0
    for i in range(half):
        wanted = exact[i] + error
        kernel[i] = kernel[-1 - i] = round(wanted)
        error = wanted - round(wanted)
    kernel[half] = 256 - int(kernel.sum())
    return kernel


def mask_box(mask: Image.Image) -> Box | None:
    """The smallest box around everything that is not black; None when all is black."""
    return mask.convert("L").getbbox()


def pad_box(box: Box, padding: int, size: tuple[int, int]) -> Box:
    left, top, right, bottom = box
    return (
        max(left - padding, 0), max(top - padding, 0), min(right + padding, size[0]), min(bottom + padding, size[1]),
    )  # fmt: skip


def expand_box(box: Box, target: tuple[int, int], size: tuple[int, int]) -> Box:
    """Grows the box to the shape of `target` (width, height), shifts it inside `size`, and clips what cannot fit."""
    left, top, right, bottom = box
    ratio = target[0] / target[1]
    if (right - left) / (bottom - top) > ratio:
        top, bottom = _grow(top, bottom, int((right - left) / ratio), size[1])
    else:
        left, right = _grow(left, right, int((bottom - top) * ratio), size[0])
    return left, top, right, bottom


def _grow(start: int, end: int, wanted: int, limit: int) -> tuple[int, int]:
    missing = wanted - (end - start)
    start -= missing // 2
    end += missing - missing // 2
    if end > limit:
        start, end = start - (end - limit), limit
    if start < 0:
        start, end = 0, end - start
    return start, min(end, limit)


def crop_region(mask: Image.Image, padding: int, target: tuple[int, int]) -> Box | None:
    """The part of the picture that "only masked" works on; None when the mask is blank."""
    box = mask_box(mask)
    return None if box is None else expand_box(pad_box(box, padding, mask.size), target, mask.size)


def fill_masked(image: Image.Image, mask: Image.Image) -> Image.Image:
    """RGB with the masked pixels replaced by their blurred surroundings (masked content "fill")."""
    ground = Image.new("RGBA", image.size)
    kept = cut_out(image, mask).convert("RGBa")
    for radius, times in _FILL_STEPS:
        layer = (kept.filter(ImageFilter.GaussianBlur(radius)) if radius else kept).convert("RGBA")
        for _ in range(times):
            ground.alpha_composite(layer)
    return ground.convert("RGB")


def cut_out(image: Image.Image, mask: Image.Image) -> Image.Image:
    """RGBA: the picture, transparent where the mask is white. This is the overlay that is laid over the result."""
    result = Image.new("RGBa", image.size)
    # Premultiplied, so that colours under a half-transparent edge do not bleed.
    result.paste(image.convert("RGBA").convert("RGBa"), mask=ImageOps.invert(mask.convert("L")))
    return result.convert("RGBA")


def whole_picture_mask(mask: Image.Image) -> Image.Image:
    """The overlay's mask for work on the whole picture: twice as bright, so that soft edges belong to the result."""
    return mask.convert("L").point(lambda v: min(2 * v, 255))


def apply_overlay(result: Image.Image, overlay: Image.Image, box: Box | None = None) -> Image.Image:
    """RGB: `result`, first put back into `box` of a picture of the overlay's size where given, under the overlay."""
    if box is not None:
        ground = Image.new("RGBA", overlay.size)
        ground.paste(resize(result, box[2] - box[0], box[3] - box[1], CROP), box[:2])
        result = ground
    elif result.size != overlay.size:
        overlay = resize(overlay, *result.size)
    result = result.convert("RGBA")
    result.alpha_composite(overlay)
    return result.convert("RGB")


def mask_composite(result: Image.Image, mask: Image.Image) -> Image.Image:
    """RGBA: the new pixels alone, transparent where nothing was painted ("mask composite")."""
    composite = result.convert("RGBA")
    alpha = mask.convert("L").resize(result.size)
    composite.putalpha(ImageChops.multiply(composite.getchannel("A"), alpha))
    return composite


def latent_mask(mask: Image.Image, width: int, height: int, *, rounded: bool = True) -> np.ndarray:  # [H, W]
    """float32 0..1 of latent size, 1 where the picture is repainted; 0 and 1 only when `rounded`."""
    small = mask.convert("L").resize((width, height), Image.Resampling.BICUBIC)
    values = np.asarray(small, dtype=np.float32) / 255.0
    return np.around(values) if rounded else values
