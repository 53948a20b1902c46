"""Presets: named sets of values, any subset of a request."""

from __future__ import annotations

import json
import sqlite3
import time
from dataclasses import dataclass
from typing import Any

from atelier.base.errors import BadRequest, Conflict, NotFound
from atelier.store.database import Database, storable, to_json


@dataclass(frozen=True)
class Preset:
    """`kind` says what the values belong to, such as `txt2img`. Within a kind names are unique, whatever their case."""

    kind: str
    name: str
    values: dict[str, Any]
    changed: float = 0.0


class Presets:
    """May raise `StoreFailed`, `SaveFailed`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def save(self, kind: str, name: str, values: dict[str, Any]) -> Preset:
        """Replaces a preset of that name. Raises `BadRequest` for an empty name or values that are no JSON."""
        name = _name(name)
        data = storable(to_json(values, "values"))
        self._db.execute(
            "INSERT OR REPLACE INTO presets (kind, name, data, changed) VALUES (?, ?, ?, ?)",
            (kind, name, data, time.time()),
        )
        return self.get(kind, name)

    def get(self, kind: str, name: str) -> Preset:
        """Raises `NotFound`."""
        row = self._db.one("SELECT * FROM presets WHERE kind = ? AND name = ?", (kind, storable(name).strip()))
        if row is None:
            raise NotFound(
                f"There is no preset {name!r}.", remedy="List the presets to see which there are.", name=name
            )
        return _preset(row)

    def list(self, kind: str) -> list[Preset]:
        """By name."""
        return [_preset(r) for r in self._db.query("SELECT * FROM presets WHERE kind = ? ORDER BY name", (kind,))]

    def rename(self, kind: str, old: str, new: str) -> Preset:
        """Raises `NotFound`, `Conflict` when the new name is taken."""
        new = _name(new)
        with self._db.transaction():
            preset = self.get(kind, old)
            if new.lower() != preset.name.lower() and self._taken(kind, new):
                raise Conflict(f"There is a preset {new!r} already.", remedy="Choose another name.", name=new)
            self._db.execute("UPDATE presets SET name = ? WHERE kind = ? AND name = ?", (new, kind, preset.name))
            return self.get(kind, new)

    def delete(self, kind: str, name: str) -> None:
        """Raises `NotFound`."""
        with self._db.transaction():
            preset = self.get(kind, name)
            self._db.execute("DELETE FROM presets WHERE kind = ? AND name = ?", (kind, preset.name))

    def _taken(self, kind: str, name: str) -> bool:
        return self._db.one("SELECT 1 FROM presets WHERE kind = ? AND name = ?", (kind, name)) is not None


def _name(name: str) -> str:
    name = storable(name).strip()
    if not name:
        raise BadRequest("name", "a preset needs a name.", remedy="Type a name.")
    return name[:200]


def _preset(row: sqlite3.Row) -> Preset:
    return Preset(row["kind"], row["name"], json.loads(row["data"]), row["changed"])
