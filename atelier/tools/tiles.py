"""Tiles: a picture goes through a network piece by piece, and the pieces are joined without seams."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from atelier.tools.watch import Watch

#: of an overlap, the part at a tile's rim that is not used: there the tile misses its surroundings
RIM = 0.25


def in_tiles(
    picture: torch.Tensor, call: Callable[[torch.Tensor], torch.Tensor], scale: int, tile: tuple[int, int], watch: Watch
) -> torch.Tensor:
    """`picture` [1, C, H, W] -> [1, C, H * scale, W * scale] on the CPU in float32. `tile` is (side, overlap); side 0
    takes the picture whole.

    All tiles have one size and are spread evenly, so that they overlap by at least what was asked for. In an overlap
    one tile fades into the next; the rim of a tile, which was calculated without its surroundings, has no weight.
    """
    height, width = picture.shape[-2:]
    side, overlap = tile
    if side <= 0 or (height <= side and width <= side):
        watch.check()
        result = call(picture).float().cpu()
        watch.told(1, 1)
        return result
    tall, wide = min(side, height), min(side, width)
    tops, lefts = starts(height, tall, overlap), starts(width, wide, overlap)
    total = torch.zeros(1, 3, height * scale, width * scale)
    weight = torch.zeros(1, 1, height * scale, width * scale)
    for done, (top, left) in enumerate((t, s) for t in tops for s in lefts):
        watch.check()
        piece = call(picture[:, :, top : top + tall, left : left + wide]).float().cpu()
        share = fade(tops, top, tall, scale)[:, None] * fade(lefts, left, wide, scale)[None, :]  # [h, w]
        place = (..., slice(top * scale, (top + tall) * scale), slice(left * scale, (left + wide) * scale))
        total[place] += piece * share
        weight[place] += share
        watch.told(done + 1, len(tops) * len(lefts))
    return total / weight


def starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin along one side; the last one ends where the picture ends."""
    if tile >= length:
        return [0]
    step = max(1, tile - max(0, min(overlap, tile - 1)))
    count = math.ceil((length - tile) / step) + 1
    return [round(i * (length - tile) / (count - 1)) for i in range(count)]


def fade(places: list[int], start: int, tile: int, scale: int) -> torch.Tensor:  # [tile * scale] in 0..1
    """The weight of a tile along one side: rising and falling where a neighbour overlaps it."""
    weight = torch.ones(tile * scale)
    index = places.index(start)
    if index > 0:
        weight = torch.minimum(weight, _ramp(places[index - 1] + tile - start, tile, scale))
    if index + 1 < len(places):
        weight = torch.minimum(weight, _ramp(start + tile - places[index + 1], tile, scale).flip(0))
    return weight


def _ramp(overlap: int, tile: int, scale: int) -> torch.Tensor:  # [tile * scale]
    """Rises from the rim over the overlap; two neighbours' weights add up to 1 at every pixel."""
    pixels = max(1, overlap * scale)
    rim = int(pixels * RIM)
    inner = max(1, pixels - 2 * rim)
    positions = torch.arange(tile * scale, dtype=torch.float32)
    # Not quite 0, so that a pixel that only rims cover still has a value.
    return ((positions - rim + 0.5) / inner).clamp(1e-6, 1)
