"""The database: migrations, threads, and the ways a disk can fail."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading

import pytest

from atelier.base.errors import BadRequest, SaveFailed, StoreFailed
from atelier.store.database import Database, set_aside, to_json
from atelier.store.schema import MIGRATIONS


@pytest.fixture
def database(tmp_path):
    opened = Database(tmp_path / "data" / "a.sqlite")
    yield opened
    opened.close()


def test_opens_twice_and_keeps_everything(tmp_path):
    first = Database(tmp_path / "a.sqlite")
    first.execute("INSERT INTO presets VALUES ('k', 'n', '{}', 1.0)")
    first.close()
    second = Database(tmp_path / "a.sqlite")
    assert second.one("SELECT name FROM presets")["name"] == "n"
    assert second.one("PRAGMA user_version")[0] == len(MIGRATIONS)
    assert second.one("PRAGMA journal_mode")[0] == "wal"


def test_migrates_forward_step_by_step(tmp_path):
    steps = (("CREATE TABLE t (a)", "INSERT INTO t VALUES (1)"), ("ALTER TABLE t ADD COLUMN b DEFAULT 5",))
    Database(tmp_path / "a.sqlite", steps[:1]).close()
    assert tuple(Database(tmp_path / "a.sqlite", steps).one("SELECT a, b FROM t")) == (1, 5)


def test_a_failing_migration_changes_nothing(tmp_path):
    good = ("CREATE TABLE t (a)",)
    Database(tmp_path / "a.sqlite", (good,)).close()
    with pytest.raises(StoreFailed):
        Database(tmp_path / "a.sqlite", (good, ("CREATE TABLE u (a)", "CREATE NONSENSE")))
    again = Database(tmp_path / "a.sqlite", (good,))
    assert again.one("SELECT 1 FROM sqlite_master WHERE name = 'u'") is None


def test_newer_version_is_refused(tmp_path):
    Database(tmp_path / "a.sqlite", (("CREATE TABLE t (a)",),) * 1 + (("CREATE TABLE u (a)",),) * 1).close()
    with pytest.raises(StoreFailed, match="newer version") as caught:
        Database(tmp_path / "a.sqlite", (("CREATE TABLE t (a)",),))
    assert caught.value.remedy


def test_transactions_are_all_or_nothing_and_nest(database):
    with pytest.raises(ZeroDivisionError), database.transaction():
        with database.transaction() as connection:
            connection.execute("INSERT INTO presets VALUES ('k', 'n', '{}', 1.0)")
        raise ZeroDivisionError
    assert database.query("SELECT * FROM presets") == []
    with database.transaction(), database.transaction() as connection:
        connection.execute("INSERT INTO presets VALUES ('k', 'n', '{}', 1.0)")
    assert len(database.query("SELECT * FROM presets")) == 1


def test_many_threads_write_and_read(database):
    errors = []

    def work(number):
        try:
            for i in range(50):
                with database.transaction() as connection:
                    connection.execute("INSERT INTO presets VALUES (?, ?, '{}', 1.0)", (str(number), str(i)))
                database.query("SELECT COUNT(*) FROM presets")
        except (StoreFailed, sqlite3.Error) as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert database.query("SELECT COUNT(*) FROM presets")[0][0] == 300


def test_locked_by_another_program(database, monkeypatch):
    database.execute("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(database.path)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreFailed, match="Another program holds"):
        database.execute("DELETE FROM presets")
    with pytest.raises(StoreFailed), database.transaction():
        pass
    other.rollback()
    assert database.execute("DELETE FROM presets") == 0
    other.close()


def test_full_disk_is_told_and_the_next_write_works(database):
    pages = database.one("PRAGMA page_count")[0]
    database.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(SaveFailed) as caught, database.transaction() as connection:
        connection.execute("INSERT INTO presets VALUES ('k', 'big', ?, 1.0)", ("x" * 100000,))
    assert "disk space" in caught.value.remedy
    database.execute("PRAGMA max_page_count = 1000000")
    assert database.execute("INSERT INTO presets VALUES ('k', 'big', ?, 1.0)", ("x" * 100000,)) == 1


def test_damaged_file_is_named_and_can_be_set_aside(tmp_path):
    path = tmp_path / "a.sqlite"
    path.write_bytes(b"no database at all " * 300)
    with pytest.raises(StoreFailed, match="damaged") as caught:
        Database(path)
    assert caught.value.fields["damaged"]
    assert set_aside(path).read_bytes().startswith(b"no database")
    assert Database(path).query("SELECT * FROM jobs") == []


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "f").write_text("")
    with pytest.raises(SaveFailed):
        Database(tmp_path / "f" / "a.sqlite")


def test_numbers_and_values_that_cannot_be_kept(database):
    with pytest.raises(BadRequest):
        database.query("SELECT ?", (2**70,))
    for value in ({"a": object()}, {1j: 2}):
        with pytest.raises(BadRequest) as caught:
            to_json(value, "payload")
        assert caught.value.field == "payload"


def test_committed_changes_outlive_kill(tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path; from atelier.store.database import Database\n"
        "d = Database(Path(sys.argv[1]))\n"
        "d.execute(\"INSERT INTO presets VALUES ('k', 'kept', '{}', 1.0)\")\n"
        "with d.transaction() as c:\n"
        "    c.execute(\"INSERT INTO presets VALUES ('k', 'half', '{}', 1.0)\")\n"
        "    getattr(os, 'kill')(os.getpid(), getattr(signal, 'SIGKILL', signal.SIGTERM))\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.sqlite")], check=False, timeout=60)
    rows = Database(tmp_path / "a.sqlite").query("SELECT name FROM presets")
    assert [row["name"] for row in rows] == ["kept"]
