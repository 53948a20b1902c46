"""JobNotes: what a long job writes down on its way, so that it can go on where it was when its process ended."""

from __future__ import annotations

from typing import Any, Protocol


class JobNotes(Protocol):
    """Plain data by job and key. `atelier/store/notes.py` keeps them in the database, with the job."""

    def get(self, job: str, key: str) -> dict[str, Any] | None: ...

    def put(self, job: str, key: str, data: dict[str, Any]) -> None: ...


class PassingNotes:
    """Notes of this process only, for tests and for use as a library."""

    def __init__(self) -> None:
        self._notes: dict[tuple[str, str], dict[str, Any]] = {}

    def get(self, job: str, key: str) -> dict[str, Any] | None:
        return self._notes.get((job, key))

    def put(self, job: str, key: str, data: dict[str, Any]) -> None:
        self._notes[job, key] = data
