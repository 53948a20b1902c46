"""`modules.extras`: reading parameters and merging; really in atelier/params/foreign, atelier/pipeline/merging.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType({
    "run_pnginfo": "modules._host.extras:run_pnginfo", "create_config": "modules._host.extras:create_config",

    "run_modelmerger": "modules._host.extras:run_modelmerger",
    "images": "modules.images", "shared": "modules.shared", "sd_models": "modules.sd_models",
})  # fmt: skip

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
