"""Upscalers: a picture made larger, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from atelier.base.registry import Registry
from atelier.imaging.resize import lanczos


@dataclass(frozen=True)
class Upscaler:
    """`enlarge(image, width, height)` gives exactly that size. `scale` is the model's factor, else 4."""

    name: str
    enlarge: Callable[[Image.Image, int, int], Image.Image]
    scale: float = 4.0
    model_name: str = ""
    model_path: str = ""


def nearest(image: Image.Image, width: int, height: int) -> Image.Image:
    return image.resize((width, height), Image.Resampling.NEAREST)


def default_upscalers() -> Registry[Upscaler]:
    """None leaves the detail as it is and only resizes; A1111 lists it first."""
    registry: Registry[Upscaler] = Registry("upscaler")
    for name, enlarge in (("None", lanczos), ("Lanczos", lanczos), ("Nearest", nearest)):
        registry.add(name, Upscaler(name, enlarge))
    return registry
