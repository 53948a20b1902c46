"""A plain shape, drawn in one colour with smooth edges."""

from __future__ import annotations

import math
from collections.abc import Callable

from PIL import Image, ImageDraw

_OVERSAMPLING = 4


def _polygon_star(n: int) -> list[tuple[float, float]]:
    margin, points = 0.06 * n, []
    for i in range(10):
        radius = (n / 2 - margin / 2) * (1 if i % 2 == 0 else 0.42)
        angle = -math.pi / 2 + i * math.pi / 5
        points.append((n / 2 + radius * math.cos(angle), n * 0.53 + radius * math.sin(angle)))
    return points


def _polygon_heart(n: int) -> list[tuple[float, float]]:
    points = []
    for i in range(120):
        t = 2 * math.pi * i / 119
        x = 16 * math.sin(t) ** 3
        y = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        points.append((n / 2 + x * n / 36, n * 0.47 - y * n / 36))
    return points


def _draw(kind: str, pen: ImageDraw.ImageDraw, n: int, fill: tuple[int, int, int, int]) -> None:
    m = 0.06 * n
    polygons: dict[str, Callable[[], list[tuple[float, float]]]] = {
        "triangle": lambda: [(n / 2, m), (n - m, n - m * 1.5), (m, n - m * 1.5)],
        "diamond": lambda: [(n / 2, m / 2), (n - m * 2, n / 2), (n / 2, n - m / 2), (m * 2, n / 2)],
        "star": lambda: _polygon_star(n),
        "heart": lambda: _polygon_heart(n),
    }
    if kind in polygons:
        pen.polygon(polygons[kind](), fill=fill)
    elif kind == "square":
        pen.rectangle((m * 1.6, m * 1.6, n - m * 1.6, n - m * 1.6), fill=fill)
    elif kind == "cross":
        w = n * 0.17
        pen.rectangle((n / 2 - w, m, n / 2 + w, n - m), fill=fill)
        pen.rectangle((m, n / 2 - w, n - m, n / 2 + w), fill=fill)
    else:
        pen.ellipse((m, m, n - m, n - m), fill=fill)
        if kind == "ring":
            q = n * 0.26
            pen.ellipse((q, q, n - q, n - q), fill=(*fill[:3], 0))


def draw_shape(kind: str, size: int, rgb: tuple[int, int, int]) -> Image.Image:
    """RGBA picture, `size` pixels square, of one of `concepts.SHAPES`."""
    n = size * _OVERSAMPLING
    picture = Image.new("RGBA", (n, n), (*rgb, 0))
    _draw(kind, ImageDraw.Draw(picture), n, (*rgb, 255))
    return picture.resize((size, size), Image.Resampling.BOX)
