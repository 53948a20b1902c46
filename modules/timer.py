"""`modules.timer`: times of parts; really in modules/_host/stopwatch.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType(
    {
        "Timer": "modules._host.stopwatch:Timer",
    }
)

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
