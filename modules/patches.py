"""`modules.patches`: replacing functions; really in modules/_host/patches.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType({
    "patch": "modules._host.patches:patches.patch", "undo": "modules._host.patches:patches.undo",
    "original": "modules._host.patches:patches.original", "originals": "modules._host.patches:patches.originals",
})  # fmt: skip

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
