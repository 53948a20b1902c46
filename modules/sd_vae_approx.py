"""`modules.sd_vae_approx`: previews by a matrix; really in atelier/checkpoints/approx.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType(
    {
        "cheap_approximation": "modules._host.approximations:cheap_approximation",
    }
)

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
