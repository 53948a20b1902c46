"""`modules.hashes`: sha256 of files, remembered on disk."""

from __future__ import annotations

from pathlib import Path

from atelier.base.files import HashCache, sha256_of
from modules._host.attach import host


def _cache() -> HashCache:
    services = host().services
    return services.hashes if services is not None else HashCache(host().paths.cache / "hashes.json")


def calculate_sha256(filename: str) -> str:
    return sha256_of(Path(filename))


def sha256_from_cache(filename: str, title: str, use_addnet_hash: bool = False) -> str | None:
    return _cache().known(Path(filename))


def sha256(filename: str, title: str, use_addnet_hash: bool = False) -> str | None:
    """None where hashing is switched off and the hash is not known yet."""
    if getattr(host().cmd_opts, "no_hashing", False):
        return sha256_from_cache(filename, title)
    return _cache().sha256(Path(filename))
