"""Inpaint sketch: what was painted on a picture, joined with it, and the mask of what is painted anew."""

from __future__ import annotations

from PIL import Image, ImageEnhance, ImageFilter


def join_sketch(
    original: Image.Image, painted: Image.Image, strokes: Image.Image, *, transparency: float = 0, blur: float = 0
) -> tuple[Image.Image, Image.Image]:
    """The picture to start from (RGB) and its mask (`L`, white is painted anew).

    `painted` is the original with the strokes on it, `strokes` is white where something was painted; all of one size.
    `transparency` 0..100 weakens the strokes, and with them the mask; `blur` is the sigma, in pixels, by which the
    strokes melt into the original.
    """
    mask = ImageEnhance.Brightness(strokes.convert("L")).enhance(1 - transparency / 100)
    melt = ImageFilter.GaussianBlur(blur)
    soft = painted.convert("RGB").filter(melt)
    return Image.composite(soft, original.convert("RGB"), mask.filter(melt)), mask
