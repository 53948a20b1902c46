"""What can be measured on a picture without a network: background, colour of the object, number of things."""

from __future__ import annotations

import numpy as np
from PIL import Image

from starter.concepts import COLOURS, WHITE
from starter.world import LAYOUTS, MANY_SIZE

_PALETTE = (*COLOURS.items(), ("white", WHITE))
_APART = 90
"""Sum of the three channel differences from which a pixel counts as not background."""


def nearest_colour(rgb: np.ndarray) -> str:
    """The colour word whose value is nearest in RGB."""
    return min(_PALETTE, key=lambda entry: float(((np.asarray(rgb, float) - entry[1]) ** 2).sum()))[0]


def background_rgb(picture: np.ndarray) -> np.ndarray:  # [H, W, 3] -> [3]
    """Median of the four corners."""
    n = max(2, picture.shape[0] // 13)
    corners = [picture[:n, :n], picture[:n, -n:], picture[-n:, :n], picture[-n:, -n:]]
    return np.median(np.concatenate([corner.reshape(-1, 3) for corner in corners]), 0)


def foreground(picture: np.ndarray) -> np.ndarray:  # [H, W, 3] -> [H, W] bool
    return np.abs(picture.astype(float) - background_rgb(picture)).sum(-1) > _APART


def object_rgb(picture: np.ndarray) -> np.ndarray:  # [H, W, 3] -> [3]
    """Median of what is not background; the background itself when there is next to nothing else."""
    mask = foreground(picture)
    return np.median(picture[mask], 0) if mask.mean() > 0.004 else background_rgb(picture)


def colourfulness(rgb: np.ndarray) -> float:
    """Largest minus smallest channel, 0..255."""
    return float(np.max(rgb) - np.min(rgb))


def components(mask: np.ndarray, smallest: float = 0.012) -> int:
    """Connected regions (4 neighbours) of at least `smallest` of the picture, counted on a grid of 64."""
    small = np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize((64, 64), Image.Resampling.BOX)) > 127
    todo, number = {(int(y), int(x)) for y, x in zip(*np.nonzero(small))}, 0
    while todo:
        stack, size = [todo.pop()], 1
        while stack:
            y, x = stack.pop()
            for near in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
                if near in todo:
                    todo.remove(near)
                    stack.append(near)
                    size += 1
        number += size >= smallest * small.size
    return number


def filled_places(picture: np.ndarray) -> int:
    """The layout of two to four things whose places all hold something, with next to nothing outside; else 1.

    Objects of several parts, such as cherries, make components useless for counting; places do not care.
    """
    mask, best = foreground(picture), (-1.0, 1)
    side, total = picture.shape[0], max(1, int(mask.sum()))
    for number, layouts in LAYOUTS.items():
        for layout in layouts:
            inside, shares = np.zeros_like(mask), []
            for x, y in layout:
                box = tuple(
                    slice(max(0, round((c - MANY_SIZE / 2) * side)), round((c + MANY_SIZE / 2) * side)) for c in (y, x)
                )
                inside[box] = True
                shares.append(mask[box].mean())
            outside = (mask & ~inside).sum() / total
            if outside < 0.08 and min(shares) > 0.12:
                best = max(best, (float(min(shares) - outside), number))
    return best[1]


def crop(picture: np.ndarray, x: float, y: float, size: float = MANY_SIZE) -> np.ndarray:  # [H, W, 3] -> [H, W, 3]
    """The thing at (x, y) as if it stood alone in the middle: cut out with its margin and enlarged."""
    side = picture.shape[0]
    half = round(size / 0.84 * side / 2)
    page = Image.new("RGB", (2 * half, 2 * half), tuple(int(v) for v in background_rgb(picture)))
    page.paste(Image.fromarray(picture), (half - round(x * side), half - round(y * side)))
    return np.asarray(page.resize((side, side), Image.Resampling.BICUBIC))
