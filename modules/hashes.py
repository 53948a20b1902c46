"""`modules.hashes`: hashes of files; really in atelier/base/files.py and modules/_host/file_hashes.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType({
    "sha256": "modules._host.file_hashes:sha256", "sha256_from_cache": "modules._host.file_hashes:sha256_from_cache",
    "calculate_sha256": "modules._host.file_hashes:calculate_sha256",
})  # fmt: skip

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
