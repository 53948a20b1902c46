"""`modules.cache`: values that extensions keep on disk, by section, in one JSON file each."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from atelier.base.files import write_text
from atelier.base.log import fields, logger
from modules._host.attach import host

log = logger(__name__)


class Section(dict):
    """What one section holds; what is set is on disk once `dump` was called."""

    def __init__(self, path: Path) -> None:
        super().__init__(_read(path))
        self._path = path

    def dump(self) -> None:
        """Raises `SaveFailed`."""
        write_text(self._path, json.dumps(dict(self)))


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    except (OSError, ValueError) as error:
        log.warning("cache of an extension not read: %s", fields(file=path.name, reason=str(error)))
        return {}
    return found if isinstance(found, dict) else {}


class Sections:
    """Every section that was asked for, kept while the program runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[Path, Section] = {}

    def cache(self, subsection: str) -> Section:
        path = host().paths.cache / "extensions" / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', subsection)}.json"
        with self._lock:
            if path not in self._open:
                self._open[path] = Section(path)
            return self._open[path]

    def dump_cache(self) -> None:
        """Writes all of them. Raises `SaveFailed`."""
        with self._lock:
            for section in self._open.values():
                section.dump()

    def cached_data_for_file(self, subsection: str, title: str, filename: str, func: Callable[[], Any]) -> Any:
        """What `func` gave for a file, until the file changes. None is not kept. Raises `OSError`, `SaveFailed`."""
        kept, changed = self.cache(subsection), os.path.getmtime(filename)
        entry = kept.get(title)
        if isinstance(entry, dict) and entry.get("mtime", 0) >= changed and "value" in entry:
            return entry["value"]
        value = func()
        if value is not None:
            kept[title] = {"mtime": changed, "value": value}
            kept.dump()
        return value


sections = Sections()
