"""PictureIndex: which pictures were saved where, to browse, search and mark."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass, fields
from typing import Any

from atelier.base.errors import NotFound
from atelier.store.database import Database, storable


@dataclass(frozen=True)
class PictureRow:
    """`id` is 0 before it is added. `created` is seconds since 1970, 0 for now. `role` as in `PictureReady`."""

    path: str
    sha256: str = ""
    job: str = ""
    seed: int = -1
    infotext: str = ""
    role: str = "picture"
    width: int = 0
    height: int = 0
    favourite: bool = False
    created: float = 0.0
    id: int = 0


# The class below has a method named `list`.
PictureRows = list[PictureRow]
_COLUMNS = tuple(f.name for f in fields(PictureRow) if f.name != "id")


class PictureIndex:
    """All methods may raise `StoreFailed` or `SaveFailed`. The files themselves are never touched."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, picture: PictureRow) -> PictureRow:
        """A picture under a path that is known already replaces the old entry, as its file did."""
        values: dict[str, Any] = {name: getattr(picture, name) for name in _COLUMNS}
        values["created"] = picture.created or time.time()
        values["favourite"] = int(picture.favourite)
        for name in ("path", "infotext", "job"):
            values[name] = storable(values[name])
        with self._db.transaction() as connection:
            connection.execute("DELETE FROM pictures WHERE path = ?", (values["path"],))
            cursor = connection.execute(
                f"INSERT INTO pictures ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})",
                tuple(values[name] for name in _COLUMNS),
            )
            return self.get(int(cursor.lastrowid or 0))

    def get(self, id: int) -> PictureRow:
        """Raises `NotFound`."""
        row = self._db.one("SELECT * FROM pictures WHERE id = ?", (id,))
        if row is None:
            raise NotFound(f"There is no picture {id}.", remedy="List the pictures to see which there are.", picture=id)
        return _picture(row)

    def by_path(self, path: str) -> PictureRow | None:
        row = self._db.one("SELECT * FROM pictures WHERE path = ?", (storable(path),))
        return None if row is None else _picture(row)

    def by_hash(self, sha256: str) -> PictureRow | None:
        """The newest picture with these bytes."""
        row = self._db.one("SELECT * FROM pictures WHERE sha256 = ? ORDER BY id DESC LIMIT 1", (sha256,))
        return None if row is None else _picture(row)

    def of_job(self, job: str) -> PictureRows:
        """In the order of saving."""
        return [_picture(r) for r in self._db.query("SELECT * FROM pictures WHERE job = ? ORDER BY id", (job,))]

    def list(
        self, query: str = "", *, favourite: bool | None = None, role: str | None = None,
        limit: int = 50, offset: int = 0, before: int | None = None,
    ) -> PictureRows:  # fmt: skip
        """Newest first. Every word of `query` must occur in the infotext or the path; case of ASCII letters is ignored.

        `before` continues below a picture's id and stays right while new pictures arrive; `offset` does not.
        """
        where, values = _filter(query, favourite, role)
        if before is not None:
            anchor = self.get(before)
            where = f"{where} AND (created < ? OR (created = ? AND id < ?))"
            values += [anchor.created, anchor.created, anchor.id]
        rows = self._db.query(
            f"SELECT * FROM pictures WHERE {where} ORDER BY created DESC, id DESC LIMIT ? OFFSET ?",
            (*values, max(0, limit), max(0, offset)),
        )
        return [_picture(row) for row in rows]

    def count(self, query: str = "", *, favourite: bool | None = None, role: str | None = None) -> int:
        where, values = _filter(query, favourite, role)
        return self._db.query(f"SELECT COUNT(*) FROM pictures WHERE {where}", values)[0][0]

    def set_favourite(self, id: int, favourite: bool = True) -> PictureRow:
        """Raises `NotFound`."""
        with self._db.transaction():
            self._db.execute("UPDATE pictures SET favourite = ? WHERE id = ?", (int(favourite), id))
            return self.get(id)

    def remove(self, id: int) -> None:
        """Forgets the picture; its file stays. Raises `NotFound`."""
        with self._db.transaction():
            self.get(id)
            self._db.execute("DELETE FROM pictures WHERE id = ?", (id,))


def _filter(query: str, favourite: bool | None, role: str | None) -> tuple[str, list[Any]]:
    parts, values = ["1"], []
    for word in storable(query).split():
        pattern = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        parts.append("(infotext LIKE ? ESCAPE '\\' OR path LIKE ? ESCAPE '\\')")
        values += [f"%{pattern}%"] * 2
    if favourite is not None:
        parts.append("favourite = ?")
        values.append(int(favourite))
    if role is not None:
        parts.append("role = ?")
        values.append(role)
    return " AND ".join(parts), values


def _picture(row: sqlite3.Row) -> PictureRow:
    values = dict(row)
    values["favourite"] = bool(values["favourite"])
    return PictureRow(**values)
