"""Crops for data sets: oversized pictures split, sizes chosen, and the part cut out that matters most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from atelier.imaging.resize import CROP, lanczos, resize

#: of automatic sizes
STEP = 64
#: side of the map on which points of interest are looked for
_MAP = 256
_CELL = 16


@dataclass(frozen=True)
class Interest:
    """How much each kind of thing draws the crop to itself."""

    faces: float = 0.9
    entropy: float = 0.15
    edges: float = 0.5


@dataclass(frozen=True)
class Bounds:
    """Limits of an automatic size; `threshold` is how much the shape may differ, 0..1."""

    min_side: int = 384
    max_side: int = 768
    min_area: int = 64 * 64
    max_area: int = 640 * 640
    threshold: float = 0.1
    largest: bool = True


def split_oversized(image: Image.Image, width: int, height: int, overlap: float) -> Iterator[Image.Image]:
    """Pieces of exactly width x height along the longer side, each overlapping the next by at least that share.

    The picture is first scaled so that its other side fits.
    """
    upright = image.width / image.height < width / height
    if upright:
        scaled = lanczos(image, width, max(height, round(image.height * width / image.width)))
        length, piece = scaled.height, height
    else:
        scaled = lanczos(image, max(width, round(image.width * height / image.height)), height)
        length, piece = scaled.width, width
    step = max(1, piece * (1 - overlap))
    count = max(1, int(np.ceil((length - piece * overlap) / step)))
    for index in range(count):
        start = round(index * (length - piece) / (count - 1)) if count > 1 else 0
        yield scaled.crop((0, start, width, start + piece) if upright else (start, 0, start + piece, height))


def is_oversized(image: Image.Image, width: int, height: int, threshold: float) -> bool:
    """Whether the shape differs so much from width x height that more than `threshold` would be cut off."""
    ratio = (image.width * height) / (image.height * width)
    return min(ratio, 1 / ratio) < threshold


def best_size(image: Image.Image, bounds: Bounds) -> tuple[int, int] | None:
    """Width and height in steps of 64 within the bounds, or None when no shape comes near enough."""
    shape = image.width / image.height
    found = []
    for width in range(-(-bounds.min_side // STEP) * STEP, bounds.max_side + 1, STEP):
        for height in range(-(-bounds.min_side // STEP) * STEP, bounds.max_side + 1, STEP):
            ratio = shape / (width / height)
            error = 1 - min(ratio, 1 / ratio)
            if bounds.min_area <= width * height <= bounds.max_area and error <= bounds.threshold:
                found.append((width, height, error))
    if not found:
        return None
    key = (lambda s: (-s[0] * s[1], s[2])) if bounds.largest else (lambda s: (s[2], -s[0] * s[1]))
    width, height, _ = min(found, key=key)
    return width, height


def crop_to(image: Image.Image, width: int, height: int) -> Image.Image:
    """Scaled to cover the size, and its middle cut out."""
    return resize(image, width, height, CROP)


def focal_crop(
    image: Image.Image, width: int, height: int, interest: Interest, faces: Sequence[tuple[float, float, float]] = ()
) -> Image.Image:
    """Scaled to cover the size, and cut out around the point of most interest. `faces` are (x, y, size) in pixels."""
    scale = max(width / image.width, height / image.height)
    scaled = lanczos(image, max(width, round(image.width * scale)), max(height, round(image.height * scale)))
    x, y = focal_point(scaled, interest, [(fx * scale, fy * scale, size * scale) for fx, fy, size in faces])
    left = min(max(0, round(x - width / 2)), scaled.width - width)
    top = min(max(0, round(y - height / 2)), scaled.height - height)
    return scaled.crop((left, top, left + width, top + height))


def focal_point(
    image: Image.Image, interest: Interest, faces: Sequence[tuple[float, float, float]] = ()
) -> tuple[float, float]:
    """The mean, by weight, of the centres of faces, of busy places and of edges; else the middle."""
    grey = np.asarray(ImageOps.grayscale(image.resize(_map_size(image))), dtype=np.uint8)
    unit_x, unit_y = image.width / grey.shape[1], image.height / grey.shape[0]
    points: list[tuple[float, float, float]] = []
    if faces and interest.faces > 0:
        sizes = np.array([max(size, 1.0) for _, _, size in faces])
        centre = np.average(np.array([(x, y) for x, y, _ in faces]), axis=0, weights=sizes)
        points.append((centre[0], centre[1], interest.faces))
    for weight, energy in ((interest.entropy, _entropy(grey)), (interest.edges, _edges(grey))):
        if weight > 0 and energy.max(initial=0) > 0:
            x, y = _centre(energy)
            points.append((x * unit_x, y * unit_y, weight))
    total = sum(weight for _, _, weight in points)
    if not total:
        return image.width / 2, image.height / 2
    return sum(x * w for x, _, w in points) / total, sum(y * w for _, y, w in points) / total


def _map_size(image: Image.Image) -> tuple[int, int]:
    scale = _MAP / max(image.size)
    return max(_CELL, round(image.width * scale)), max(_CELL, round(image.height * scale))


def _entropy(grey: np.ndarray) -> np.ndarray:  # [h, w] -> [h, w]
    """Shannon's entropy of each cell, spread over its pixels."""
    energy = np.zeros(grey.shape, dtype=np.float32)
    for top in range(0, grey.shape[0], _CELL):
        for left in range(0, grey.shape[1], _CELL):
            cell = grey[top : top + _CELL, left : left + _CELL]
            share = np.bincount(cell.ravel() // 8, minlength=32) / cell.size
            share = share[share > 0]
            energy[top : top + _CELL, left : left + _CELL] = max(0.0, -(share * np.log2(share)).sum())
    # Only what stands out counts, or a picture that is busy everywhere would say nothing.
    return np.maximum(0, energy - np.percentile(energy, 75)) if energy.max(initial=0) > 0 else energy


def _edges(grey: np.ndarray) -> np.ndarray:  # [h, w] -> [h, w]
    """The length of the gradient, without what is weaker than most."""
    soft = np.asarray(Image.fromarray(grey).filter(ImageFilter.GaussianBlur(1)), dtype=np.float32)
    down, right = np.gradient(soft)
    energy = np.hypot(down, right)
    return np.where(energy >= np.percentile(energy, 90), energy, 0)


def _centre(energy: np.ndarray) -> tuple[float, float]:
    rows, columns = np.indices(energy.shape)
    total = energy.sum()
    return float((columns * energy).sum() / total), float((rows * energy).sum() / total)
