"""Sessions: what each page had on its controls, so that a reload loses nothing."""

from __future__ import annotations

import json
import time
from typing import Any

from atelier.store.database import Database, storable, to_json


class Sessions:
    """Values of one tab of one client (a browser's own id); any JSON object. May raise `StoreFailed`, `SaveFailed`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def save(self, client: str, tab: str, values: dict[str, Any]) -> None:
        """Replaces what was kept. Raises `BadRequest` when the values are no JSON."""
        self._db.execute(
            "INSERT OR REPLACE INTO sessions (client, tab, data, changed) VALUES (?, ?, ?, ?)",
            (storable(client), storable(tab), storable(to_json(values, "values")), time.time()),
        )

    def update(self, client: str, tab: str, values: dict[str, Any]) -> dict[str, Any]:
        """Changes only the given values; returns all of them."""
        with self._db.transaction():
            merged = {**(self.load(client, tab) or {}), **values}
            self.save(client, tab, merged)
            return merged

    def load(self, client: str, tab: str) -> dict[str, Any] | None:
        """None when nothing is kept."""
        row = self._db.one("SELECT data FROM sessions WHERE client = ? AND tab = ?", (storable(client), storable(tab)))
        return None if row is None else json.loads(row["data"])

    def tabs(self, client: str) -> dict[str, dict[str, Any]]:
        """Everything kept of one client, by tab."""
        rows = self._db.query("SELECT tab, data FROM sessions WHERE client = ? ORDER BY tab", (storable(client),))
        return {row["tab"]: json.loads(row["data"]) for row in rows}

    def latest(self, tab: str) -> dict[str, Any] | None:
        """The values changed last by anyone, for a client that is new."""
        row = self._db.one("SELECT data FROM sessions WHERE tab = ? ORDER BY changed DESC LIMIT 1", (storable(tab),))
        return None if row is None else json.loads(row["data"])

    def forget(self, client: str) -> None:
        self._db.execute("DELETE FROM sessions WHERE client = ?", (storable(client),))

    def prune(self, older_than: float) -> int:
        """Forgets what was not changed for `older_than` seconds; returns how many tabs."""
        return self._db.execute("DELETE FROM sessions WHERE changed < ?", (time.time() - older_than,))
