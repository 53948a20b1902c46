"""The difference of two pictures, pixel by pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from atelier.imaging.decode import flatten


@dataclass(frozen=True)
class PixelDifference:
    """`largest` and `mean` are of 255, over all channels; `share` are the pixels that differ at all, 0 to 1.

    `image` shows where: black is equal, white the largest difference.
    """

    largest: int
    mean: float
    share: float
    image: Image.Image


def pixel_difference(one: Image.Image, other: Image.Image) -> PixelDifference | None:
    """None for pictures of different sizes."""
    if one.size != other.size:
        return None
    first, second = (np.asarray(flatten(image).convert("RGB"), np.int16) for image in (one, other))
    distance = np.abs(first - second)  # [H, W, 3]
    largest = int(distance.max(initial=0))
    shown = distance.max(axis=2) * (255.0 / largest if largest else 0.0)
    return PixelDifference(
        largest, float(distance.mean()), float((distance.max(axis=2) > 0).mean()),
        Image.fromarray(np.rint(shown).astype(np.uint8)),
    )  # fmt: skip
