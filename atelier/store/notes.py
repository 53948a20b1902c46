"""StoredNotes: what jobs wrote down on their way, kept until the job itself is deleted."""

from __future__ import annotations

import json
from typing import Any

from atelier.base.errors import AtelierError
from atelier.base.log import fields, logger
from atelier.store.database import Database, storable, to_json

log = logger(__name__)


class StoredNotes:
    def __init__(self, database: Database) -> None:
        self._db = database

    def get(self, job: str, key: str) -> dict[str, Any] | None:
        row = self._db.one("SELECT data FROM notes WHERE job = ? AND name = ?", (job, key))
        return None if row is None else json.loads(row["data"])

    def put(self, job: str, key: str, data: dict[str, Any]) -> None:
        """A note that cannot be written costs time after a crash, and is no reason to end the job now.

        A job that gets further each time is not the cause of the crashes, so its starts are counted anew.
        """
        text = storable(to_json(data, "note"))
        try:
            with self._db.transaction() as connection:
                connection.execute("INSERT OR REPLACE INTO notes (job, name, data) VALUES (?, ?, ?)", (job, key, text))
                connection.execute("UPDATE jobs SET attempts = 1 WHERE id = ? AND attempts > 1", (job,))
        except AtelierError as error:
            log.error("note of a job could not be kept: %s", fields(job=job, key=key, reason=error.message))
