"""Aligned faces: a face turned upright and cut out at a fixed size, and put back where it was."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

#: where eyes, nose and corners of the mouth are in an aligned picture of 512 x 512 (FFHQ's alignment)
TEMPLATE = (
    (192.98138, 239.94708), (318.90277, 240.1936), (256.63416, 314.01935), (201.26117, 371.41043),
    (313.08905, 371.15118),
)  # fmt: skip
SIDE = 512


def alignment(points: Sequence[tuple[float, float]], side: int = SIDE) -> np.ndarray:  # [2, 3]
    """The turn, scale and shift that brings the points nearest to the template (Umeyama, 1991, without mirroring)."""
    source = np.asarray(points, dtype=np.float64)
    target = np.asarray(TEMPLATE, dtype=np.float64) * side / SIDE
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    a, b = source - source_mean, target - target_mean
    norm = max((a**2).sum(), 1e-12)
    cosine = (a * b).sum() / norm
    sine = (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / norm
    turn = np.array([[cosine, -sine], [sine, cosine]])
    return np.column_stack([turn, target_mean - turn @ source_mean])


def inverse(matrix: np.ndarray) -> np.ndarray:  # [2, 3]
    turn = np.linalg.inv(matrix[:, :2])
    return np.column_stack([turn, -turn @ matrix[:, 2]])


def cut_out(image: Image.Image, matrix: np.ndarray, side: int = SIDE) -> Image.Image:
    """The aligned face; what lies outside of the picture is grey."""
    return _warped(image.convert("RGB"), matrix, (side, side), (135, 133, 132))


def put_back(image: Image.Image, face: Image.Image, matrix: np.ndarray) -> Image.Image:
    """The picture with the aligned face in its old place, its rim faded."""
    back = inverse(matrix)
    warped = _warped(face, back, image.size, 0)
    mask = _warped(soft_mask(face.width), back, image.size, 0)
    result = image.copy()
    result.paste(warped.convert(image.mode) if image.mode != "RGBA" else warped, (0, 0), mask)
    if image.mode == "RGBA":
        result.putalpha(image.getchannel("A"))
    return result


def soft_mask(side: int) -> Image.Image:
    """White in the middle, black at the rim, with a soft edge."""
    mask = Image.new("L", (side, side), 0)
    rim = side // 16
    ImageDraw.Draw(mask).rounded_rectangle((rim, rim, side - rim - 1, side - rim - 1), side // 4, fill=255)
    return mask.filter(ImageFilter.GaussianBlur(side / 40))


def _warped(image: Image.Image, matrix: np.ndarray, size: tuple[int, int], fill: int | tuple[int, ...]) -> Image.Image:
    # Pillow asks where each pixel of the result comes from.
    place = inverse(matrix).ravel().tolist()
    return image.transform(size, Image.Transform.AFFINE, place, Image.Resampling.BICUBIC, fillcolor=fill)
