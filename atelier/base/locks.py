"""FileLock: a lock on a file that holds between processes and ends with the process that held it."""

from __future__ import annotations

import os
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None
    import msvcrt

# Windows forbids other processes to read a locked range, so a byte far behind the content is locked there.
_FAR = 1 << 30


class FileLock:
    """The file stays when the lock is released: removing it would let two processes lock two files of one name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None

    @property
    def held(self) -> bool:
        return self._handle is not None

    def acquire(self, wait: bool = True) -> bool:
        """False when somebody else holds it and `wait` is False. Raises `OSError` where files cannot be locked."""
        if self._handle is not None:
            return True
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if not _lock(handle, wait):
                os.close(handle)
                return False
        except OSError:
            os.close(handle)
            raise
        self._handle = handle
        return True

    def read(self) -> str:
        """The content of the file, whoever holds the lock."""
        try:
            return self.path.read_text("utf-8", errors="replace")
        except OSError:
            return ""

    def write(self, text: str) -> None:
        """Replaces the content in place; only for the holder."""
        if self._handle is None:
            raise RuntimeError(f"{self.path} is not locked")
        data = text.encode("utf-8", errors="replace")
        os.lseek(self._handle, 0, os.SEEK_SET)
        os.write(self._handle, data)
        os.ftruncate(self._handle, len(data))

    def release(self) -> None:
        if self._handle is None:
            return
        _unlock(self._handle)
        os.close(self._handle)
        self._handle = None

    def __enter__(self) -> FileLock:
        self.acquire()
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()


if fcntl is not None:

    def _lock(handle: int, wait: bool) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        return True

    def _unlock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_UN)

else:

    def _lock(handle: int, wait: bool) -> bool:
        while True:
            os.lseek(handle, _FAR, os.SEEK_SET)
            try:
                msvcrt.locking(handle, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
            except OSError:
                # LK_LOCK gives up after ten seconds; waiting means waiting.
                if wait:
                    continue
                return False
            return True

    def _unlock(handle: int) -> None:
        os.lseek(handle, _FAR, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)
