"""`modules.safe`: reading pickles; really torch's own guarded and unguarded reader."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType(
    {
        "unsafe_torch_load": "torch:load",
        "load": "modules._host.pickle_door:load",
        "Extra": "modules._host.pickle_door:Extra",
    }
)

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
