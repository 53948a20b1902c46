"""DataFolderLock: one server a data folder; the second one is told who the first is."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from atelier.base.errors import DataFolderBusy
from atelier.base.files import save_failed
from atelier.base.locks import FileLock
from atelier.base.log import logger

log = logger(__name__)


class DataFolderLock:
    """Held from `acquire` to `release` or the end of the process, whichever way it ends."""

    def __init__(self, path: Path) -> None:
        self._lock = FileLock(path)
        self._owner: dict[str, Any] = {}

    def acquire(self, port: int = 0, address: str = "") -> None:
        """Raises `DataFolderBusy` with `pid`, `port` and `address` of the other server, `SaveFailed` when read-only."""
        try:
            taken = self._lock.acquire(wait=False)
        except OSError as error:
            if os.access(self._lock.path.parent, os.W_OK) and self._lock.path.exists():
                # Some network file systems know no locks. Refusing to start there would help nobody.
                log.warning("data folder cannot be locked path=%s error=%s", self._lock.path, error)
                return
            raise save_failed(self._lock.path, error) from error
        if not taken:
            raise self._busy()
        self._owner = {"pid": os.getpid(), "started": time.time()}
        self.describe(port, address)

    def describe(self, port: int, address: str = "") -> None:
        """Says where this server listens, once that is known."""
        self._owner.update(port=port, address=address)
        if self._lock.held:
            self._lock.write(json.dumps(self._owner))

    def owner(self) -> dict[str, Any]:
        """What the file says about its holder, or the last one; empty when it says nothing."""
        try:
            data = json.loads(self._lock.read())
        except ValueError:
            return {}
        return data if isinstance(data, dict) else {}

    def release(self) -> None:
        self._lock.release()

    def __enter__(self) -> DataFolderLock:
        self.acquire()
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()

    def _busy(self) -> DataFolderBusy:
        owner = self.owner()
        pid, port = owner.get("pid", 0), owner.get("port", 0)
        address = owner.get("address") or (f"http://127.0.0.1:{port}" if port else "")
        who = f"process {pid}" + (f", {address}" if address else "") if pid else "another process"
        return DataFolderBusy(
            f"Another Atelier ({who}) uses the data folder {self._lock.path.parent}.",
            remedy="Use that one, end it, or start with another --data-dir.",
            pid=pid, port=port, address=address, path=str(self._lock.path.parent),
        )  # fmt: skip
