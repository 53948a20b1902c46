"""JobRecords: every job and its events, so that a queue outlives the process."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from atelier.base.errors import BadRequest, Conflict, NotFound
from atelier.base.events import Event, JobFailed, event_from_json
from atelier.base.log import logger
from atelier.store.database import Database, storable, to_json

log = logger(__name__)

STATES = ("queued", "paused", "running", "done", "stopped", "cancelled", "failed")
WAITING = ("queued", "paused")
FINAL_STATES = ("done", "stopped", "cancelled", "failed")
# A job that was running when the process died this many times is taken for the cause.
MAX_ATTEMPTS = 3
_TURN = "priority DESC, position, created"


@dataclass(frozen=True)
class JobRow:
    """Times are seconds since 1970. Higher `priority` goes first, then lower `position`. `attempts` counts starts."""

    id: str
    kind: str
    payload: dict[str, Any]
    priority: int = 0
    client: str = ""
    state: str = "queued"
    position: float = 0.0
    attempts: int = 0
    created: float = 0.0
    started: float | None = None
    finished: float | None = None
    error: dict[str, Any] | None = None
    result: dict[str, Any] | None = None

    @property
    def final(self) -> bool:
        return self.state in FINAL_STATES


# The class below has a method named `list`.
JobRows = list[JobRow]
Events = list[Event]


class JobRecords:
    """Rows in and out; what a state means is the queue's business. All may raise `StoreFailed`, `SaveFailed`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def insert(
        self, id: str, kind: str, payload: dict[str, Any], *, priority: int = 0, client: str = "", state: str = "queued"
    ) -> JobRow:
        """Placed last within its priority. Raises `Conflict` when the id exists, `BadRequest` for a bad payload."""
        data = to_json(payload, "payload")
        _check_state(state)
        with self._db.transaction() as connection:
            last = connection.execute("SELECT COALESCE(MAX(position), 0) FROM jobs").fetchone()[0]
            try:
                connection.execute(
                    "INSERT INTO jobs (id, kind, payload, priority, client, state, position, created)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (id, kind, storable(data), priority, storable(client), state, last + 1, time.time()),
                )
            except sqlite3.IntegrityError as error:
                raise Conflict(f"There is a job {id} already.", remedy="Use another id.", job=id) from error
            return self.get(id)

    def get(self, id: str) -> JobRow:
        """Raises `NotFound`."""
        row = self.find(id)
        if row is None:
            raise NotFound(f"There is no job {id}.", remedy="List the jobs to see which there are.", job=id)
        return row

    def find(self, id: str) -> JobRow | None:
        row = self._db.one("SELECT * FROM jobs WHERE id = ?", (id,))
        return None if row is None else _job(row)

    def set_state(
        self, id: str, state: str, *, expected: Sequence[str] | None = None,
        error: dict[str, Any] | None = None, result: dict[str, Any] | None = None,
    ) -> JobRow:  # fmt: skip
        """Also notes the time: `started` when running, `finished` when it ends, neither when queued.

        With `expected` the change happens only from one of these states, else `Conflict`. Raises `NotFound`.
        """
        _check_state(state)
        now = time.time()
        with self._db.transaction() as connection:
            old = self.get(id)
            if expected is not None and old.state not in expected:
                raise Conflict(
                    f"The job {id} is {old.state}.", remedy=f"This works while it is {' or '.join(expected)}.",
                    job=id, state=old.state,
                )  # fmt: skip
            connection.execute(
                "UPDATE jobs SET state = ?, started = ?, finished = ?, attempts = ?, error = ?, result = ?"
                " WHERE id = ?",
                (
                    state,
                    now if state == "running" else None if state in WAITING else old.started,
                    now if state in FINAL_STATES else None,
                    old.attempts + (state == "running"),
                    None if error is None else storable(to_json(error, "error")),
                    None if result is None else storable(to_json(result, "result")),
                    id,
                ),
            )
            return self.get(id)

    def set_payload(self, id: str, payload: dict[str, Any]) -> JobRow:
        """Only while the job waits; else `Conflict`."""
        data = storable(to_json(payload, "payload"))
        self._change_waiting(id, "payload", data)
        return self.get(id)

    def set_priority(self, id: str, priority: int) -> JobRow:
        """Only while the job waits; else `Conflict`."""
        self._change_waiting(id, "priority", priority)
        return self.get(id)

    def list(
        self, *, states: Sequence[str] | None = None, kind: str | None = None, client: str | None = None,
        limit: int = 50, offset: int = 0, oldest_first: bool = False,
    ) -> JobRows:  # fmt: skip
        where, values = _filter(states, kind, client)
        order = "created, rowid" if oldest_first else "created DESC, rowid DESC"
        rows = self._db.query(
            f"SELECT * FROM jobs {where} ORDER BY {order} LIMIT ? OFFSET ?", (*values, max(0, limit), max(0, offset))
        )
        return [_job(row) for row in rows]

    def count(self, *, states: Sequence[str] | None = None, kind: str | None = None, client: str | None = None) -> int:
        where, values = _filter(states, kind, client)
        return self._db.query(f"SELECT COUNT(*) FROM jobs {where}", values)[0][0]

    def queued(self) -> JobRows:
        """Every queued job in the order of its turn."""
        return [_job(r) for r in self._db.query(f"SELECT * FROM jobs WHERE state = 'queued' ORDER BY {_TURN}")]

    def next_queued(self, kinds: Sequence[str] | None = None) -> JobRow | None:
        """The job whose turn it is; with `kinds`, the first of these kinds. Does not change it."""
        where, values = _filter(("queued",), None, None)
        if kinds is not None:
            where, values = f"{where} AND kind IN ({_marks(kinds)})", [*values, *kinds]
        row = self._db.one(f"SELECT * FROM jobs {where} ORDER BY {_TURN} LIMIT 1", values)
        return None if row is None else _job(row)

    def claim_next(self, kinds: Sequence[str] | None = None) -> JobRow | None:
        """`next_queued`, made running in the same transaction, so that no two workers get the same job."""
        with self._db.transaction():
            job = self.next_queued(kinds)
            return None if job is None else self.set_state(job.id, "running", expected=("queued",))

    def ahead_of(self, id: str) -> int:
        """How many queued jobs come before this one; 0 when it is next or does not wait."""
        job = self.find(id)
        if job is None or job.state != "queued":
            return 0
        return self._db.query(
            "SELECT COUNT(*) FROM jobs WHERE state = 'queued' AND (priority > ? OR (priority = ? AND (position < ?"
            " OR (position = ? AND created < ?))))",
            (job.priority, job.priority, job.position, job.position, job.created),
        )[0][0]

    def reorder(self, id: str, *, before: str | None = None, to_front: bool = False) -> JobRow:
        """Moves a waiting job before another waiting one, to the front, or, with neither, to the end of the queue.

        It takes the priority of the place it goes to. Raises `NotFound`, `Conflict` when one of them does not wait.
        """
        with self._db.transaction() as connection:
            self._waiting(id)
            rows = self._db.query(
                f"SELECT id, priority FROM jobs WHERE state IN ('queued', 'paused') AND id != ? ORDER BY {_TURN}", (id,)
            )
            order = [(row["id"], row["priority"]) for row in rows]
            if before is not None:
                self._waiting(before)
                if before == id:
                    return self.get(id)
                place = [row[0] for row in order].index(before)
            else:
                place = 0 if to_front else len(order)
            neighbour = order[min(place, len(order) - 1)] if order else None
            priority = neighbour[1] if neighbour else self.get(id).priority
            order.insert(place, (id, priority))
            connection.execute("UPDATE jobs SET priority = ? WHERE id = ?", (priority, id))
            connection.executemany(
                "UPDATE jobs SET position = ? WHERE id = ?", [(i + 1, name) for i, (name, _) in enumerate(order)]
            )
            return self.get(id)

    def delete(self, id: str) -> None:
        """With its events. Raises `NotFound`, `Conflict` while it runs."""
        with self._db.transaction() as connection:
            if self.get(id).state == "running":
                raise Conflict(f"The job {id} is running.", remedy="Cancel it first.", job=id, state="running")
            connection.execute("DELETE FROM events WHERE job = ?", (id,))
            connection.execute("DELETE FROM jobs WHERE id = ?", (id,))

    def prune(self, older_than: float, keep: int = 200) -> int:
        """Deletes jobs that ended more than `older_than` seconds ago, except the last `keep`. Returns how many."""
        with self._db.transaction() as connection:
            rows = connection.execute(
                f"SELECT id FROM jobs WHERE state IN ({_marks(FINAL_STATES)}) AND finished < ? AND id NOT IN"
                f" (SELECT id FROM jobs WHERE state IN ({_marks(FINAL_STATES)}) ORDER BY finished DESC LIMIT ?)",
                (*FINAL_STATES, time.time() - older_than, *FINAL_STATES, keep),
            ).fetchall()
            ids = [(row["id"],) for row in rows]
            connection.executemany("DELETE FROM events WHERE job = ?", ids)
            connection.executemany("DELETE FROM jobs WHERE id = ?", ids)
            return len(ids)

    def append_event(self, event: Event) -> None:
        """Kept under (job, seq). Events of no job, and a number that is there already, are ignored."""
        if not event.job:
            return
        data = storable(to_json(event.to_json(), "event"))
        self._db.execute(
            "INSERT OR IGNORE INTO events (job, seq, kind, data) VALUES (?, ?, ?, ?)",
            (event.job, event.seq, event.kind, data),
        )

    def events(self, job: str, after: int = 0) -> Events:
        """In order, those numbered above `after`. Events that this version does not know are left out."""
        rows = self._db.query("SELECT data FROM events WHERE job = ? AND seq > ? ORDER BY seq", (job, after))
        found = []
        for row in rows:
            try:
                found.append(event_from_json(json.loads(row["data"])))
            except (KeyError, TypeError, ValueError) as error:
                log.warning("event cannot be read job=%s error=%r", job, error)
        return found

    def last_seq(self, job: str) -> int:
        return self._db.query("SELECT COALESCE(MAX(seq), 0) FROM events WHERE job = ?", (job,))[0][0]

    def recover(self, max_attempts: int = MAX_ATTEMPTS) -> JobRows:
        """To be called once, before a worker starts: jobs that a dead process left running are queued again.

        They keep their place before later jobs. One that was started `max_attempts` times already is failed instead,
        with a `JobFailed` event. Returns all of them in their new state.
        """
        with self._db.transaction() as connection:
            found = [_job(r) for r in self._db.query(f"SELECT * FROM jobs WHERE state = 'running' ORDER BY {_TURN}")]
            changed = []
            for job in found:
                if job.attempts < max_attempts:
                    changed.append(self.set_state(job.id, "queued"))
                    continue
                error = Conflict(
                    f"The program ended {job.attempts} times while this job ran.",
                    remedy="Try it with a smaller size or batch.", attempts=job.attempts,
                ).to_json()  # fmt: skip
                changed.append(self.set_state(job.id, "failed", error=error))
                self.append_event(JobFailed(job.id, self.last_seq(job.id) + 1, time.time(), error))
            # They were running before everything that waits now.
            first = connection.execute("SELECT COALESCE(MIN(position), 0) FROM jobs WHERE state = 'queued'").fetchone()[
                0
            ]
            requeued = [job.id for job in changed if job.state == "queued"]
            connection.executemany(
                "UPDATE jobs SET position = MIN(position, ?) WHERE id = ?",
                [(first - len(requeued) + i, id) for i, id in enumerate(requeued)],
            )
            return [self.get(job.id) for job in changed]

    def _waiting(self, id: str) -> JobRow:
        job = self.get(id)
        if job.state not in WAITING:
            raise Conflict(
                f"The job {id} is {job.state}.", remedy="Only a waiting job can be changed.", job=id, state=job.state
            )
        return job

    def _change_waiting(self, id: str, column: str, value: Any) -> None:
        with self._db.transaction() as connection:
            self._waiting(id)
            connection.execute(f"UPDATE jobs SET {column} = ? WHERE id = ?", (value, id))


def _filter(states: Sequence[str] | None, kind: str | None, client: str | None) -> tuple[str, list[Any]]:
    parts, values = [], []
    if states is not None:
        parts.append(f"state IN ({_marks(states)})")
        values += states
    if kind is not None:
        parts.append("kind = ?")
        values.append(kind)
    if client is not None:
        parts.append("client = ?")
        values.append(client)
    return ("WHERE " + " AND ".join(parts) if parts else ""), values


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))


def _check_state(state: str) -> None:
    if state not in STATES:
        raise BadRequest("state", f"there is no job state {state!r}.", remedy=f"Use {', '.join(STATES)}.")


def _job(row: sqlite3.Row) -> JobRow:
    values = dict(row)
    for name in ("payload", "error", "result"):
        values[name] = None if values[name] is None else json.loads(values[name])
    return JobRow(**values)
