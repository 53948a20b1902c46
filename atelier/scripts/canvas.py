"""Canvases for pictures that grow: made larger at their edges, and filled with something to begin from."""

from __future__ import annotations

import numpy as np
from PIL import Image

#: a latent cell, in pixels
CELL = 8


def whole_cells(side: int) -> int:
    """The next multiple of a latent cell."""
    return -(-side // CELL) * CELL


def padded(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The picture at the top left of a canvas of this size; its last row and column go on to the edges."""
    return grown(image, right=size[0] - image.width, down=size[1] - image.height)


def grown(image: Image.Image, *, left: int = 0, up: int = 0, right: int = 0, down: int = 0) -> Image.Image:
    """RGB, larger by so many pixels on each side; the edges go on."""
    pixels = np.asarray(image.convert("RGB"))
    return Image.fromarray(np.pad(pixels, ((up, down), (left, right), (0, 0)), mode="edge"))
