"""`modules.script_loading`: importing files; really in atelier/plugins/discover.py and modules/_host/load.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType({
    "load_module": "modules._host.script_doors:load_module",
    "preload_extensions": "modules._host.script_doors:preload_extensions", "loaded_scripts": "@loader.loaded",
})  # fmt: skip

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
