"""Database: the one SQLite file, opened once, brought forward, shared by all threads."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from atelier.base.errors import AtelierError, BadRequest, SaveFailed, StoreFailed
from atelier.base.log import logger
from atelier.store.schema import MIGRATIONS

log = logger(__name__)

BUSY_SECONDS = 5.0


class Database:
    """One connection behind a lock: statements take microseconds, so threads rarely wait for each other.

    Write-ahead logging keeps every committed change through `kill -9`. Raises `SaveFailed` when the disk is full or
    read-only, `StoreFailed` when the file is locked by another program, damaged, or of a newer version.
    """

    def __init__(self, path: Path, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._depth = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Transactions are begun by hand (isolation_level None): the module's own rules differ between versions.
            self._connection = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        except (sqlite3.Error, OSError) as error:
            raise _typed(error, path) from error
        try:
            self._prepare(migrations)
        except BaseException:
            self._connection.close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of it or nothing. May be nested; the outermost one commits."""
        with self._lock:
            outermost = self._depth == 0
            if outermost:
                self._run("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield self._connection
                if outermost:
                    self._run("COMMIT")
            except BaseException as error:
                if outermost and self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                if isinstance(error, (sqlite3.Error, OverflowError)):
                    raise _typed(error, self.path) from error
                raise
            finally:
                self._depth -= 1

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        with self._lock:
            try:
                return self._connection.execute(sql, values).fetchall()
            except (sqlite3.Error, OverflowError) as error:
                raise _typed(error, self.path) from error

    def one(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Row | None:
        rows = self.query(sql, values)
        return rows[0] if rows else None

    def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
        """How many rows were changed. On its own it is a transaction."""
        with self._lock:
            return self._run(sql, values).rowcount

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def _run(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        try:
            return self._connection.execute(sql, values)
        except (sqlite3.Error, OverflowError) as error:
            raise _typed(error, self.path) from error

    def _prepare(self, migrations: Sequence[Sequence[str]]) -> None:
        self._connection.row_factory = sqlite3.Row
        self._run("PRAGMA journal_mode = WAL")
        # With WAL this loses nothing when the process dies, only the last moments when the power does.
        self._run("PRAGMA synchronous = NORMAL")
        with self.transaction():
            version = self._run("PRAGMA user_version").fetchone()[0]
            if version > len(migrations):
                raise StoreFailed(
                    f"{self.path} was written by a newer version of Atelier ({version}, known: {len(migrations)}).",
                    remedy="Update Atelier, or choose another data folder.", path=str(self.path), version=version,
                )  # fmt: skip
            for step in migrations[version:]:
                for statement in step:
                    self._run(statement)
            if version < len(migrations):
                self._run(f"PRAGMA user_version = {len(migrations)}")
                log.info("database brought forward path=%s from=%d to=%d", self.path, version, len(migrations))


def set_aside(path: Path) -> Path:
    """Renames a damaged database and its companions, so that a new one can begin. Returns the new name."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    for suffix in ("-wal", "-shm", ""):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(path.with_name(f"{path.name}.damaged-{stamp}{suffix}"))
    return path.with_name(f"{path.name}.damaged-{stamp}")


def to_json(value: Any, field: str) -> str:
    """Raises `BadRequest` naming `field` when the value cannot be kept as JSON."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise BadRequest(field, f"cannot be kept as JSON ({error}).", remedy="Use plain values.") from error


def storable(text: str) -> str:
    """Half a surrogate pair, which some clients send, has no place in UTF-8."""
    return text.encode("utf-8", errors="replace").decode("utf-8")


def _typed(error: Exception, path: Path) -> AtelierError:
    text = str(error)
    low = text.lower()
    if isinstance(error, OverflowError):
        return BadRequest("value", "a number is too large to be kept.", remedy="Use numbers below 2^63.")
    if "full" in low:
        return SaveFailed(f"Could not write {path}: {text}.", remedy="Free some disk space.", path=str(path))
    if "readonly" in low or "unable to open" in low or "disk i/o" in low or isinstance(error, OSError):
        return SaveFailed(
            f"Could not open or write {path}: {text}.", remedy="Make the data folder writable, or choose another.",
            path=str(path),
        )  # fmt: skip
    if "locked" in low or "busy" in low:
        return StoreFailed(
            f"Another program holds {path}.", remedy="Close the program that has it open and try again.", path=str(path)
        )
    if "malformed" in low or "not a database" in low or "corrupt" in low:
        return StoreFailed(
            f"{path} is damaged ({text}).", remedy="Rename it and start again; pictures and settings are not in it.",
            path=str(path), damaged=True,
        )  # fmt: skip
    return StoreFailed(f"The database {path} failed: {text}.", remedy="Restart Atelier.", path=str(path))
