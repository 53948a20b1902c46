"""Colour correction: a result gets the colours of the picture it came from, and keeps its own brightness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from atelier.imaging.resize import lanczos

# sRGB primaries to CIE XYZ and the D65 white point (IEC 61966-2-1).
_TO_XYZ = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
_WHITE = (0.950456, 1.0, 1.088754)
_LUMA = (0.3, 0.59, 0.11)
_EPSILON, _KAPPA = 216 / 24389, 24389 / 27


@dataclass(frozen=True)
class ColorTarget:
    """Sorted values and their cumulative shares for each LAB channel."""

    channels: tuple[tuple[np.ndarray, np.ndarray], ...]


def color_target(image: Image.Image) -> ColorTarget:
    return lab_target(_bytes(_lab(_float(image))))


def lab_target(lab: np.ndarray) -> ColorTarget:
    """Of a picture that is LAB already, as OpenCV has it: uint8 [H, W, 3], L scaled to 0..255, a and b moved by 128."""
    return ColorTarget(tuple(_shares(lab[:, :, i]) for i in range(3)))


def match_color(image: Image.Image, target: ColorTarget) -> Image.Image:
    """RGB: histograms of L, a and b matched to `target`, then the brightness of `image` put back (W3C blend mode
    "luminosity")."""
    original = _float(image)
    lab = _bytes(_lab(original))
    matched = np.stack([_match(lab[:, :, i], *target.channels[i]) for i in range(3)], axis=2)
    colored = _rgb(np.stack((matched[:, :, 0] * (100 / 255), matched[:, :, 1] - 128, matched[:, :, 2] - 128), axis=2))
    blended = _set_luma(colored, original @ np.asarray(_LUMA))
    return Image.fromarray(np.clip(np.rint(blended * 255), 0, 255).astype(np.uint8))


def match_picture(image: Image.Image, reference: Image.Image) -> Image.Image:
    """`match_color` for one pair of pictures; the reference is looked at in at most the size of the result."""
    return match_color(image, color_target(smaller(reference, image.size)))


def smaller(reference: Image.Image, size: tuple[int, int]) -> Image.Image:
    """A picture brought to (width, height) where it has more pixels than that."""
    return lanczos(reference, *size) if reference.width * reference.height > size[0] * size[1] else reference


def _float(image: Image.Image) -> np.ndarray:  # [H, W, 3] in 0..1
    return np.asarray(image.convert("RGB"), dtype=np.float64) / 255.0


def _lab(rgb: np.ndarray) -> np.ndarray:  # [H, W, 3]
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = linear @ np.asarray(_TO_XYZ).T / np.asarray(_WHITE)
    f = np.where(xyz > _EPSILON, np.cbrt(xyz), (_KAPPA * xyz + 16) / 116)
    return np.stack((116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])), axis=-1)


def _rgb(lab: np.ndarray) -> np.ndarray:  # [H, W, 3] in 0..1
    fy = (lab[..., 0] + 16) / 116
    f = np.stack((fy + lab[..., 1] / 500, fy, fy - lab[..., 2] / 200), axis=-1)
    xyz = np.where(f**3 > _EPSILON, f**3, (116 * f - 16) / _KAPPA) * np.asarray(_WHITE)
    linear = np.clip(xyz @ np.linalg.inv(np.asarray(_TO_XYZ)).T, 0, 1)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def _bytes(lab: np.ndarray) -> np.ndarray:
    scaled = np.stack((lab[..., 0] * (255 / 100), lab[..., 1] + 128, lab[..., 2] + 128), axis=-1)
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def _shares(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    counts = np.bincount(values.ravel(), minlength=256)
    present = np.nonzero(counts)[0]
    return present.astype(np.float64), np.cumsum(counts)[present] / values.size


def _match(values: np.ndarray, wanted: np.ndarray, wanted_shares: np.ndarray) -> np.ndarray:
    counts = np.bincount(values.ravel(), minlength=256)
    shares = np.cumsum(counts) / values.size
    return np.interp(shares, wanted_shares, wanted)[values]


def _set_luma(rgb: np.ndarray, luma: np.ndarray) -> np.ndarray:  # [H, W, 3], [H, W]
    """SetLum and ClipColor of the W3C compositing specification, section 10."""
    shifted = rgb + (luma - rgb @ np.asarray(_LUMA))[..., None]
    own = (shifted @ np.asarray(_LUMA))[..., None]
    low, high = shifted.min(axis=2, keepdims=True), shifted.max(axis=2, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        shifted = np.where(low < 0, own + (shifted - own) * own / (own - low), shifted)
        shifted = np.where(high > 1, own + (shifted - own) * (1 - own) / (high - own), shifted)
    return np.clip(np.nan_to_num(shifted), 0, 1)
