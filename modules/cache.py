"""`modules.cache`: values kept on disk; really in modules/_host/disk_cache.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType(
    {
        "cache": "modules._host.disk_cache:sections.cache",
        "dump_cache": "modules._host.disk_cache:sections.dump_cache",
        "cached_data_for_file": "modules._host.disk_cache:sections.cached_data_for_file",
    }
)

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
