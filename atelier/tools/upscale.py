"""Upscalers: a picture made larger, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from atelier.base.registry import Registry
from atelier.imaging.resize import lanczos
from atelier.tools.watch import Watch

UNWATCHED = Watch()


@dataclass(frozen=True)
class Upscaler:
    """`enlarge(image, width, height)` gives exactly that size. `scale` is the model's factor, else 4.

    `watched` does the same for who can stop it and wants to know how far it is; those that take no time have none.
    """

    name: str
    enlarge: Callable[[Image.Image, int, int], Image.Image]
    scale: float = 4.0
    model_name: str = ""
    model_path: str = ""
    watched: Callable[[Image.Image, int, int, Watch], Image.Image] | None = None

    def to(self, image: Image.Image, width: int, height: int, watch: Watch = UNWATCHED) -> Image.Image:
        watch.check()
        if self.watched is not None:
            return self.watched(image, width, height, watch)
        return self.enlarge(image, width, height)


def nearest(image: Image.Image, width: int, height: int) -> Image.Image:
    return image.resize((width, height), Image.Resampling.NEAREST)


def bicubic(image: Image.Image, width: int, height: int) -> Image.Image:
    return image.resize((width, height), Image.Resampling.BICUBIC)


def default_upscalers() -> Registry[Upscaler]:
    """None leaves the detail as it is and only resizes; A1111 lists it first."""
    registry: Registry[Upscaler] = Registry("upscaler")
    for name, enlarge in (("None", lanczos), ("Lanczos", lanczos), ("Nearest", nearest), ("Bicubic", bicubic)):
        registry.add(name, Upscaler(name, enlarge))
    return registry
