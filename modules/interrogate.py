"""`modules.interrogate`: captions; really in atelier/tools/caption.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType({
    "InterrogateModels": "modules._host.tools:InterrogateModels",
})  # fmt: skip

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
