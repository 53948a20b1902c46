"""`modules.upscaler`: upscalers of extensions; really in atelier/tools/upscale.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType({
    "Upscaler": "modules._host.tools:Upscaler",
    "UpscalerData": "modules._host.tools:UpscalerData",
    "UpscalerNone": "modules._host.tools:UpscalerNone",
    "UpscalerLanczos": "modules._host.tools:UpscalerLanczos",
    "UpscalerNearest": "modules._host.tools:UpscalerNearest",
    "LANCZOS": "modules._host.tools:LANCZOS",
    "NEAREST": "modules._host.tools:NEAREST",
    "shared": "modules.shared",
})  # fmt: skip

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
