"""`modules.deepbooru`: tags; really in atelier/tools/tags.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType({
    "model": "modules._host.tools:model",
    "DeepDanbooru": "modules._host.tools:DeepDanbooru",
    "re_special": "modules._host.tools:re_special",
})  # fmt: skip

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
