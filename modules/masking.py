"""`modules.masking`: masks of inpainting; really in atelier/imaging/masks.py and modules/_host/pixels.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType({
    "get_crop_region": "modules._host.pixels:get_crop_region",
    "get_crop_region_v2": "modules._host.pixels:get_crop_region_v2",
    "expand_crop_region": "modules._host.pixels:expand_crop_region", "fill": "modules._host.pixels:fill",
})  # fmt: skip

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
