"""Atomic writes, and hashes of large files with a cache on disk."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from atelier.base.errors import SaveFailed

CHUNK = 1 << 20


@contextmanager
def atomic_writer(path: Path) -> Iterator[BinaryIO]:
    """A binary file that appears under its name only when it was written whole. Raises `SaveFailed`."""
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=".part", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes private files; pictures and settings should follow the user's umask.
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        temporary = ""
    except OSError as error:
        raise save_failed(path, error) from error
    finally:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)


def write_bytes(path: Path, data: bytes) -> None:
    with atomic_writer(path) as file:
        file.write(data)


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode("utf-8"))


def save_failed(path: Path, error: OSError) -> SaveFailed:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        remedy = "Free some disk space or choose another folder in Settings."
    elif error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        remedy = "Make the folder writable or choose another folder in Settings."
    else:
        remedy = "Check the folder in Settings."
    return SaveFailed(f"Could not write {path}: {error.strerror or error}.", remedy=remedy, path=str(path))


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def sha256_of(path: Path, progress: Callable[[int], None] | None = None) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            if progress is not None:
                progress(len(chunk))
    return digest.hexdigest()


class HashCache:
    """sha256 of files, remembered by path, size and time of change. `digest` hashes something else."""

    def __init__(self, path: Path, digest: Callable[[Path], str] | None = None) -> None:
        self._path = path
        self._digest = digest
        self._lock = threading.Lock()
        self._entries: dict[str, list] = {}
        if path.exists():
            try:
                loaded = json.loads(path.read_text("utf-8"))
                self._entries = {k: v for k, v in loaded.items() if isinstance(v, list) and len(v) == 3}
            except (OSError, ValueError, AttributeError):
                # A damaged cache costs only time: the hashes are computed again.
                self._entries = {}

    def known(self, file: Path) -> str | None:
        try:
            stat = file.stat()
        except OSError:
            return None
        entry = self._entries.get(str(file))
        return entry[2] if entry and entry[0] == stat.st_size and entry[1] == stat.st_mtime else None

    def sha256(self, file: Path) -> str:
        found = self.known(file)
        if found is not None:
            return found
        stat = file.stat()
        digest = (self._digest or sha256_of)(file)
        with self._lock:
            self._entries[str(file)] = [stat.st_size, stat.st_mtime, digest]
            write_text(self._path, json.dumps(self._entries, indent=1))
        return digest
