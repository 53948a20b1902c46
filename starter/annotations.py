"""The annotations of a scene that the composer knows without guessing: edges, scribble, depth, pose, masks, boxes."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from starter.figures import FIGURES, JOINTS, joints_of
from starter.scene import Composer, Scene, corner

_LOW, _HIGH = 100.0, 200.0
"""Canny's thresholds on the length of the Sobel gradient of 0..255 grey: the usual defaults."""
_SIDES = ("right", "left")
_BONES = (
    *(("neck", f"{side} shoulder") for side in _SIDES),
    *((f"{side} {a}", f"{side} {b}") for side in _SIDES for a, b in (("shoulder", "elbow"), ("elbow", "wrist"))),
    *((f"{side} {a}".replace(f"{side} neck", "neck"), f"{side} {b}")
      for side in _SIDES for a, b in (("neck", "hip"), ("hip", "knee"), ("knee", "ankle"))),
    ("neck", "nose"),
    *((f"{side} {a}".replace(f"{side} nose", "nose"), f"{side} {b}")
      for side in _SIDES for a, b in (("nose", "eye"), ("eye", "ear"))),
)  # fmt: skip
"""In the order that gives each bone the colour by which pose networks know it."""


@dataclass(frozen=True)
class Annotations:
    """Maps are [H, W] uint8, the pose [H, W, 3]. `depth`: 0 far, 255 near. `masks`, `boxes` (left, top, right, bottom)
    go by item. `pose`: OpenPose's coloured skeleton of each figure on black; all other things leave it black.
    """

    canny: np.ndarray
    scribble: np.ndarray
    depth: np.ndarray
    pose: np.ndarray
    masks: tuple[np.ndarray, ...]
    boxes: tuple[tuple[int, int, int, int], ...]
    names: tuple[str, ...]


def _shifted(values: np.ndarray, dy: int, dx: int) -> np.ndarray:
    padded = np.pad(values, 1, mode="edge")
    return padded[1 + dy : 1 + dy + values.shape[0], 1 + dx : 1 + dx + values.shape[1]]


def canny(picture: np.ndarray) -> np.ndarray:  # [H, W, 3] uint8 -> [H, W] uint8, 0 or 255
    """Canny (1986): blur, Sobel, thinning along the gradient, hysteresis."""
    grey = np.asarray(Image.fromarray(picture).convert("L").filter(ImageFilter.GaussianBlur(1.0)), float)
    s = {(dy, dx): _shifted(grey, dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)}
    gx = s[-1, 1] + 2 * s[0, 1] + s[1, 1] - s[-1, -1] - 2 * s[0, -1] - s[1, -1]
    gy = s[1, -1] + 2 * s[1, 0] + s[1, 1] - s[-1, -1] - 2 * s[-1, 0] - s[-1, 1]
    length, angle = np.hypot(gx, gy), np.round(np.arctan2(gy, gx) / (np.pi / 4)).astype(int) % 4
    thin = np.zeros_like(length)
    for direction, (dy, dx) in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
        peak = (length >= _shifted(length, dy, dx)) & (length > _shifted(length, -dy, -dx))
        thin = np.where((angle == direction) & peak, length, thin)
    edges, weak = thin > _HIGH, thin > _LOW
    while True:
        grown = weak & np.any([_shifted(edges, dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)], axis=0)
        if (grown == edges).all():
            return edges.astype(np.uint8) * 255
        edges = grown


def _outline(mask: np.ndarray) -> np.ndarray:  # [H, W] bool -> [H, W] bool
    """A hand's line round the silhouette: its corners rounded, four pixels thick."""
    soft = Image.fromarray(mask.astype(np.uint8) * 255).filter(ImageFilter.GaussianBlur(3))
    smooth = np.asarray(soft) > 127
    wide = np.asarray(Image.fromarray(smooth.astype(np.uint8) * 255).filter(ImageFilter.MaxFilter(5))) > 127
    narrow = np.asarray(Image.fromarray(smooth.astype(np.uint8) * 255).filter(ImageFilter.MinFilter(5))) > 127
    return wide & ~narrow


def _relief(mask: np.ndarray, nearness: float) -> np.ndarray:  # [H, W] bool -> [H, W] float
    """A dome over the silhouette, so that an object has a middle nearer than its rim."""
    soft = Image.fromarray(mask.astype(np.uint8) * 255).filter(ImageFilter.GaussianBlur(mask.shape[0] / 16))
    return np.where(mask, nearness * (0.7 + 0.3 * np.asarray(soft, float) / 255), 0.0)


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    ys, xs = np.nonzero(mask)
    return (int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1) if len(ys) else (0, 0, 0, 0)


def _hue(number: int) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(number / len(JOINTS), 1.0, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def silhouettes(composer: Composer, scene: Scene, canvas: int = 256) -> list[np.ndarray]:
    """What is seen of each item, [H, W] bool. Later items hide earlier ones."""
    masks = [np.asarray(layer)[..., 3] > 127 for layer in composer.layers(scene, canvas)]
    for i in range(len(masks)):
        for front in masks[i + 1 :]:
            masks[i] = masks[i] & ~front
    return masks


def depth_of(masks: Sequence[np.ndarray]) -> np.ndarray:  # [H, W] bool each -> [H, W] uint8
    """A floor that comes nearer towards the lower rim, as in a picture taken at eye height, and domes upon it."""
    side = masks[0].shape[0]
    depth = np.repeat(np.linspace(10, 60, side)[:, None], side, 1)
    for i, mask in enumerate(masks):
        depth = np.maximum(depth, _relief(mask, 200 + 55 * (i + 1) / len(masks)))
    return depth.astype(np.uint8)


def pose_of(scene: Scene, canvas: int = 256) -> np.ndarray:  # [H, W, 3] uint8
    """The skeletons as OpenPose shows them (Cao et al. 2017): bones in hues of the circle at 0.6, joints in full."""
    page = Image.new("RGB", (canvas, canvas))
    pen = ImageDraw.Draw(page)
    for item in (item for item in scene.items if item.name in FIGURES):
        (left, top), side = corner(item, canvas), item.size * canvas
        at = {joint: (left + x * side, top + y * side) for joint, (x, y) in joints_of(item.name).items()}
        for i, (one, other) in enumerate(_BONES):
            pen.line((*at[one], *at[other]), tuple(int(0.6 * v) for v in _hue(i)), max(1, canvas // 64))
        for i, joint in enumerate(JOINTS):
            (x, y), r = at[joint], canvas / 128
            pen.ellipse((x - r, y - r, x + r, y + r), _hue(i))
    return np.asarray(page)


def annotate(composer: Composer, scene: Scene, canvas: int = 256) -> Annotations:
    """Annotations that fit `composer.draw(scene, canvas)` pixel by pixel."""
    masks = silhouettes(composer, scene, canvas)
    scribble = np.zeros((canvas, canvas), bool)
    for mask in masks:
        scribble |= _outline(mask)
    return Annotations(
        canny(composer.draw(scene, canvas)),
        scribble.astype(np.uint8) * 255,
        depth_of(masks),
        pose_of(scene, canvas),
        tuple(mask.astype(np.uint8) * 255 for mask in masks),
        tuple(_box(mask) for mask in masks),
        tuple(item.name for item in scene.items),
    )
