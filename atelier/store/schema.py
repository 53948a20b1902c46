"""The tables, as one list of steps forward: step n brings a database of version n to n + 1."""

from __future__ import annotations

_FIRST = (
    """CREATE TABLE jobs (
        id TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        payload TEXT NOT NULL,
        priority INTEGER NOT NULL DEFAULT 0,
        client TEXT NOT NULL DEFAULT '',
        state TEXT NOT NULL DEFAULT 'queued',
        position REAL NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        created REAL NOT NULL,
        started REAL,
        finished REAL,
        error TEXT,
        result TEXT
    )""",
    "CREATE INDEX jobs_by_turn ON jobs (state, priority DESC, position)",
    "CREATE INDEX jobs_by_age ON jobs (created)",
    """CREATE TABLE events (
        job TEXT NOT NULL,
        seq INTEGER NOT NULL,
        kind TEXT NOT NULL,
        data TEXT NOT NULL,
        PRIMARY KEY (job, seq)
    ) WITHOUT ROWID""",
    """CREATE TABLE pictures (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        path TEXT NOT NULL UNIQUE,
        sha256 TEXT NOT NULL DEFAULT '',
        job TEXT NOT NULL DEFAULT '',
        seed INTEGER NOT NULL DEFAULT -1,
        infotext TEXT NOT NULL DEFAULT '',
        role TEXT NOT NULL DEFAULT 'picture',
        width INTEGER NOT NULL DEFAULT 0,
        height INTEGER NOT NULL DEFAULT 0,
        favourite INTEGER NOT NULL DEFAULT 0,
        created REAL NOT NULL
    )""",
    "CREATE INDEX pictures_by_age ON pictures (created, id)",
    "CREATE INDEX pictures_by_job ON pictures (job)",
    "CREATE INDEX pictures_favourite ON pictures (created, id) WHERE favourite = 1",
    """CREATE TABLE sessions (
        client TEXT NOT NULL,
        tab TEXT NOT NULL,
        data TEXT NOT NULL,
        changed REAL NOT NULL,
        PRIMARY KEY (client, tab)
    ) WITHOUT ROWID""",
    """CREATE TABLE presets (
        kind TEXT NOT NULL,
        name TEXT NOT NULL COLLATE NOCASE,
        data TEXT NOT NULL,
        changed REAL NOT NULL,
        PRIMARY KEY (kind, name)
    ) WITHOUT ROWID""",
)

_NOTES = (
    """CREATE TABLE notes (
        job TEXT NOT NULL,
        name TEXT NOT NULL,
        data TEXT NOT NULL,
        PRIMARY KEY (job, name)
    ) WITHOUT ROWID""",
    "CREATE TRIGGER notes_go_with_their_job AFTER DELETE ON jobs BEGIN DELETE FROM notes WHERE job = old.id; END",
)

MIGRATIONS = (_FIRST, _NOTES)
