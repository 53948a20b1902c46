"""Tiles: a picture cut into overlapping pieces of one size, and put together again without seams."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

Corner = tuple[int, int]


def tile_corners(size: tuple[int, int], tile: tuple[int, int], overlap: int) -> list[Corner]:
    """Left and top of each tile, row by row, evenly spread; neighbours share at least `overlap` pixels."""
    columns, rows = (_starts(*pair, overlap) for pair in zip(size, tile))
    return [(left, top) for top in rows for left in columns]


def _starts(length: int, tile: int, overlap: int) -> list[int]:
    if length <= tile:
        return [0]
    step = max(1, tile - overlap)
    count = math.ceil((length - overlap) / step) if length > overlap else 1
    count = max(2, count)
    return [round(index * (length - tile) / (count - 1)) for index in range(count)]


def join_tiles(size: tuple[int, int], tiles: Sequence[tuple[Corner, Image.Image]], overlap: int) -> Image.Image:
    """RGB. Where tiles overlap they fade into each other."""
    total = np.zeros((size[1], size[0], 3))
    weights = np.zeros((size[1], size[0], 1))
    for (left, top), image in tiles:
        pixels = np.asarray(image.convert("RGB"), dtype=np.float64)
        height, width = pixels.shape[:2]
        across = _ramp(width, left > 0, left + width < size[0], overlap)
        down = _ramp(height, top > 0, top + height < size[1], overlap)
        weight = (down[:, None] * across[None, :])[..., None]
        total[top : top + height, left : left + width] += pixels * weight
        weights[top : top + height, left : left + width] += weight
    return Image.fromarray(np.rint(total / np.maximum(weights, 1e-9)).clip(0, 255).astype(np.uint8))


def _ramp(length: int, before: bool, after: bool, overlap: int) -> np.ndarray:  # [length] in 0..1
    """1 in the middle, falling over the overlap towards the sides that have a neighbour."""
    places = np.arange(length) + 0.5
    ramp = np.ones(length)
    if overlap > 0 and before:
        ramp = np.minimum(ramp, places / overlap)
    if overlap > 0 and after:
        ramp = np.minimum(ramp, (length - places) / overlap)
    return np.maximum(ramp, 1e-6)
