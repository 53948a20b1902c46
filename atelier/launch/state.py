"""What the set-up remembers: which step was done for which fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from atelier.base.files import write_text

FILE = "atelier-setup.json"


def fingerprint(*parts: Any) -> str:
    """A short name for a combination of values; equal values give equal names on every machine."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def fingerprint_of_files(files: Iterable[Path]) -> str:
    """A short name for the contents of files; one that is missing counts as empty."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0")
        digest.update(file.read_bytes() if file.is_file() else b"")
    return digest.hexdigest()[:16]


class SetupState:
    """Fingerprints and results of finished steps, in one file inside the environment: it goes when that goes."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / FILE
        self._entries: dict[str, dict[str, Any]] = {}
        if self.file.exists():
            try:
                loaded = json.loads(self.file.read_text("utf-8"))
                self._entries = loaded if isinstance(loaded, dict) else {}
            except (OSError, ValueError):
                # A damaged note costs only time: the steps look again at what is there.
                self._entries = {}

    def done(self, step: str, wanted: str) -> bool:
        return self._entries.get(step, {}).get("fingerprint") == wanted

    def result(self, step: str) -> dict[str, Any]:
        return dict(self._entries.get(step, {}).get("result", {}))

    def record(self, step: str, reached: str, result: dict[str, Any] | None = None) -> None:
        self._entries[step] = {"fingerprint": reached, "result": result or {}}
        write_text(self.file, json.dumps(self._entries, indent=1, sort_keys=True))

    def forget(self, step: str) -> None:
        if self._entries.pop(step, None) is not None:
            write_text(self.file, json.dumps(self._entries, indent=1, sort_keys=True))

    def clear(self) -> None:
        """Forgets everything, for an environment that is made anew; nothing is written until a step is done."""
        self._entries.clear()
