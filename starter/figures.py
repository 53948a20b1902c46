"""A figure: a simple person in one colour and one of eight poses, drawn from its joints, which are thus known."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

from PIL import Image, ImageDraw

_OVERSAMPLING = 4
_SKIN, _INK = (255, 206, 92), (70, 50, 40)
_HEAD = 0.105
Point = tuple[float, float]

_POSES: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "standing": (-16, -8, 16, 8, -7, -3, 7, 3),
        "waving": (-20, -8, 118, 172, -7, -3, 7, 3),
        "cheering": (-140, -168, 140, 168, -14, -6, 14, 6),
        "running": (-62, 30, 62, 150, -52, -96, 50, -12),
        "sitting": (-24, 16, 24, -16, -78, -4, 78, 4),
        "jumping": (-112, -132, 112, 132, -48, 28, 48, -28),
        "dancing": (-100, -6, 126, 172, -10, 0, 46, -34),
        "stretching": (-90, -90, 90, 90, -26, -24, 26, 24),
    }
)
"""Degrees of right upper arm, right forearm, left arm, right thigh, right shin, left leg: 0 hangs down, 90 points to
the right of the picture, -90 to its left. The figure faces us, so its right side is on the left."""
FIGURES = tuple(f"{pose} figure" for pose in _POSES)

JOINTS = (
    "nose", "neck", "right shoulder", "right elbow", "right wrist", "left shoulder", "left elbow", "left wrist",
    "right hip", "right knee", "right ankle", "left hip", "left knee", "left ankle",
    "right eye", "left eye", "right ear", "left ear",
)  # fmt: skip
"""The eighteen key points in the order of OpenPose's COCO model (Cao et al. 2017)."""


def _along(start: Point, degrees: float, length: float) -> Point:
    angle = math.radians(degrees)
    return start[0] + length * math.sin(angle), start[1] + length * math.cos(angle)


def _limb(start: Point, upper: float, lower: float, length: float) -> tuple[Point, Point, Point]:
    middle = _along(start, upper, length)
    return start, middle, _along(middle, lower, 0.95 * length)


def joints_of(name: str) -> dict[str, Point]:
    """Joint to its place, 0..1 of the figure's square, which it fills from top to bottom in its middle."""
    angles = _POSES[name.removesuffix(" figure")]
    head = (0.5, 0.16)
    limbs = {
        "right arm": _limb((0.415, 0.315), *angles[0:2], 0.15),
        "left arm": _limb((0.585, 0.315), *angles[2:4], 0.15),
        "right leg": _limb((0.44, 0.56), *angles[4:6], 0.18),
        "left leg": _limb((0.56, 0.56), *angles[6:8], 0.18),
    }
    found = dict(zip(JOINTS[:2], (head, (0.5, 0.29))))
    for side, part in ((side, part) for side in ("right", "left") for part in ("arm", "leg")):
        names = ("shoulder", "elbow", "wrist") if part == "arm" else ("hip", "knee", "ankle")
        found |= {f"{side} {joint}": place for joint, place in zip(names, limbs[f"{side} {part}"])}
    for side, sign in (("right", -1), ("left", 1)):
        found[f"{side} eye"] = (head[0] + sign * 0.04, head[1] - 0.025)
        found[f"{side} ear"] = (head[0] + sign * _HEAD, head[1])
    rows = [y for _, y in found.values()]
    down = 0.5 - (min(head[1] - _HEAD, *rows) + max(rows) + 0.05) / 2
    return {joint: (found[joint][0], found[joint][1] + down) for joint in JOINTS}


class _Pen:
    """Draws in units of the figure's square."""

    def __init__(self, picture: Image.Image) -> None:
        self._pen, self._n = ImageDraw.Draw(picture), picture.width

    def dot(self, at: Point, radius: float, fill: tuple[int, int, int]) -> None:
        x, y, r = at[0] * self._n, at[1] * self._n, radius * self._n
        self._pen.ellipse((x - r, y - r, x + r, y + r), fill=(*fill, 255))

    def line(self, points: list[Point], width: float, fill: tuple[int, int, int]) -> None:
        whole = [(x * self._n, y * self._n) for x, y in points]
        self._pen.line(whole, fill=(*fill, 255), width=round(width * self._n), joint="curve")
        for point in points:
            self.dot(point, width / 2, fill)

    def smile(self, at: Point, radius: float, fill: tuple[int, int, int]) -> None:
        x, y, r = at[0] * self._n, at[1] * self._n, radius * self._n
        self._pen.arc((x - r, y - r, x + r, y + r), 25, 155, fill=(*fill, 255), width=round(0.014 * self._n))


def draw_figure(name: str, size: int, rgb: tuple[int, int, int]) -> Image.Image:
    """RGBA picture, `size` pixels square, of one of `FIGURES` in clothes of this colour."""
    picture = Image.new("RGBA", (size * _OVERSAMPLING,) * 2, (*rgb, 0))
    pen, at = _Pen(picture), joints_of(name)
    trousers = tuple(round(0.62 * value) for value in rgb)
    for side in ("right", "left"):
        pen.line([at[f"{side} {joint}"] for joint in ("hip", "knee", "ankle")], 0.1, trousers)
        pen.dot(at[f"{side} ankle"], 0.055, _INK)
    rim = ("neck", "right shoulder", "right hip", "left hip", "left shoulder", "neck")
    pen.line([at[joint] for joint in rim], 0.09, rgb)
    pen.line([at["neck"], ((at["right hip"][0] + at["left hip"][0]) / 2, at["right hip"][1])], 0.16, rgb)
    for side in ("right", "left"):
        pen.line([at[f"{side} {joint}"] for joint in ("shoulder", "elbow", "wrist")], 0.075, rgb)
        pen.dot(at[f"{side} wrist"], 0.045, _SKIN)
    pen.dot(at["nose"], _HEAD, _SKIN)
    for side in ("right", "left"):
        pen.dot(at[f"{side} eye"], 0.016, _INK)
    pen.smile(at["nose"], 0.05, _INK)
    return picture.resize((size, size), Image.Resampling.BOX)
