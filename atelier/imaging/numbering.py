"""Numbering: the running number of pictures in a folder, unique between threads and processes."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from pathlib import Path

from atelier.base.files import save_failed
from atelier.base.locks import FileLock


class Numbering:
    """Hands out each number of a folder once.

    The last number given stands in a small file below `state`, changed under a lock. The folder itself is looked
    through only at the first number that this object gives for it, so that files from elsewhere count too.
    """

    def __init__(self, state: Path) -> None:
        self._state = state
        self._seen: set[tuple[str, str]] = set()
        self._guard = threading.Lock()

    def take(self, folder: Path, prefix: str = "") -> int:
        """The next number for names `<prefix><number>-...`; 0 in an empty folder. Raises `SaveFailed`."""
        key = (os.path.abspath(folder), prefix)
        with self._guard:
            first = key not in self._seen
            self._seen.add(key)
        digest = hashlib.sha256("\0".join(key).encode("utf-8", errors="replace")).hexdigest()[:24]
        lock = FileLock(self._state / digest)
        try:
            with lock:
                last = _parse(lock.read())
                if first or last is None:
                    last = max(-1 if last is None else last, highest_number(folder, prefix))
                lock.write(f"{last + 1}\n{key[0]}\n")
        except OSError as error:
            raise save_failed(lock.path, error) from error
        return last + 1


def highest_number(folder: Path, prefix: str = "") -> int:
    """The largest number that a name in `folder` begins with after `prefix`; -1 when there is none."""
    pattern = re.compile(re.escape(prefix) + r"(\d{1,15})(?=[-.])")
    highest = -1
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                match = pattern.match(entry.name)
                if match:
                    highest = max(highest, int(match.group(1)))
    except FileNotFoundError:
        return -1
    except OSError as error:
        raise save_failed(folder, error) from error
    return highest


def _parse(text: str) -> int | None:
    first = text.partition("\n")[0]
    return int(first) if first.isascii() and first.isdigit() else None
