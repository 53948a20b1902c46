"""Notes of jobs."""

from __future__ import annotations

from pathlib import Path

from atelier.store.database import Database
from atelier.store.jobs import JobRecords
from atelier.store.notes import StoredNotes


def test_notes_live_as_long_as_their_job(tmp_path: Path) -> None:
    database = Database(tmp_path / "a.sqlite")
    records, notes = JobRecords(database), StoredNotes(database)
    records.insert("one", "txt2img", {})
    records.insert("two", "txt2img", {})
    notes.put("one", "run 1", {"pictures": [1]})
    notes.put("one", "run 1", {"pictures": [2]})
    notes.put("two", "run 1", {"pictures": [3]})
    database.close()
    database = Database(tmp_path / "a.sqlite")
    records, notes = JobRecords(database), StoredNotes(database)
    assert notes.get("one", "run 1") == {"pictures": [2]} and notes.get("one", "run 2") is None
    records.delete("one")
    assert notes.get("one", "run 1") is None and notes.get("two", "run 1") == {"pictures": [3]}


def test_a_job_that_gets_further_is_not_given_up(tmp_path: Path) -> None:
    database = Database(tmp_path / "a.sqlite")
    records, notes = JobRecords(database), StoredNotes(database)
    records.insert("long", "txt2img", {})
    for _ in range(5):
        assert records.claim_next().id == "long"
        notes.put("long", "run", {})
        assert [row.state for row in records.recover(2)] == ["queued"]
    records.claim_next()
    assert [row.state for row in records.recover(2)] == ["failed"]
