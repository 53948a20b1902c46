"""`modules.rng`: noise from seeds; really in atelier/sampling/noise.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType(
    {
        "ImageRNG": "modules._host.random_numbers:ImageRNG",
        "create_generator": "modules._host.random_numbers:create_generator",
        "randn": "modules._host.random_numbers:randn",
        "randn_local": "modules._host.random_numbers:randn_local",
        "slerp": "modules._host.random_numbers:slerp",
    }
)

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
