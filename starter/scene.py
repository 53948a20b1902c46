"""A scene: what one training picture shows, as data, and the composer that draws it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import Image

from starter.concepts import SHAPES, shade
from starter.figures import FIGURES, draw_figure
from starter.shapes import draw_shape
from starter.sprites import Sprites

CANVAS = 256
GRID = 8
"""Placed pictures move in steps of 8 pixels, which are whole latents: finer shifts cost a small model much to learn."""


@dataclass(frozen=True)
class Item:
    """One object or shape. `x`, `y`: its middle, 0..1 of the canvas; `size`: its side, 0..1 of the canvas.

    `strength`: the weight of its colour word, 1 for a plain one.
    """

    name: str
    colour: str | None = None
    x: float = 0.5
    y: float = 0.5
    size: float = 0.84
    style: str = "noto"
    strength: float = 1.0

    @property
    def is_shape(self) -> bool:
        return self.name in SHAPES


@dataclass(frozen=True)
class Scene:
    """`kind`: its stage; `held`: the combination is kept out of training; `strength`: of the background's word."""

    kind: str
    background: str
    items: tuple[Item, ...]
    held: bool = False
    strength: float = 1.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Scene:
        return cls(**{**data, "items": tuple(Item(**item) for item in data["items"])})


def tint(sprite: Image.Image, rgb: tuple[int, int, int]) -> Image.Image:
    """The RGBA sprite in one colour: shadows darker, lights towards white, its drawing kept."""
    pixels = np.asarray(sprite).astype(np.float32)
    light = pixels[..., :3] @ np.array([0.3, 0.59, 0.11], np.float32)
    inside = light[pixels[..., 3] > 127]
    low, high = np.percentile(inside, (3, 97)) if inside.size else (0.0, 255.0)
    level = np.clip((light - low) / max(high - low, 20), 0, 1)[..., None]
    target = np.array(rgb, np.float32)
    dark, bright = target * (0.35 + 0.65 * level / 0.6), target + (255 - target) * ((level - 0.6) / 0.4) * 0.55
    mixed = np.where(level < 0.6, dark, bright).clip(0, 255).astype(np.uint8)
    return Image.fromarray(np.dstack([mixed, np.asarray(sprite)[..., 3]]))


def corner(item: Item, canvas: int) -> tuple[int, int]:
    """Left and top pixel of an item's square."""
    side = round(item.size * canvas)
    left, top = round(item.x * canvas - side / 2), round(item.y * canvas - side / 2)
    if (item.x, item.y) != (0.5, 0.5):
        left, top = round(left / GRID) * GRID, round(top / GRID) * GRID
    return max(0, min(canvas - side, left)), max(0, min(canvas - side, top))


class Composer:
    """Draws scenes from sprites and shapes."""

    def __init__(self, sprites: Sprites) -> None:
        self._sprites = sprites

    def picture_of(self, item: Item, side: int) -> Image.Image:
        """RGBA, `side` pixels square."""
        if item.is_shape or item.name in FIGURES:
            draw = draw_shape if item.is_shape else draw_figure
            return draw(item.name, side, shade(item.colour or "black", item.strength))
        sprite = self._sprites.get(item.style, item.name)
        if item.colour is not None:
            sprite = tint(sprite, shade(item.colour, item.strength))
        return sprite.resize((side, side), Image.Resampling.LANCZOS)

    def layers(self, scene: Scene, canvas: int = CANVAS) -> list[Image.Image]:
        """One transparent RGBA canvas per item, back to front."""
        out = []
        for item in scene.items:
            side = round(item.size * canvas)
            layer = Image.new("RGBA", (canvas, canvas), (0, 0, 0, 0))
            layer.alpha_composite(self.picture_of(item, side), corner(item, canvas))
            out.append(layer)
        return out

    def draw(self, scene: Scene, canvas: int = CANVAS) -> np.ndarray:  # [H, W, 3] uint8
        page = Image.new("RGBA", (canvas, canvas), (*shade(scene.background, scene.strength), 255))
        for layer in self.layers(scene, canvas):
            page.alpha_composite(layer)
        return np.asarray(page.convert("RGB"))
