"""Notes: what a user wrote about a model file, in the JSON beside it, under A1111's keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from atelier.base.errors import Conflict
from atelier.base.files import write_text

#: the user's word for a family of models, under "sd version"
VERSIONS = MappingProxyType({"SD1": "sd1", "SD2": "sd2", "SDXL": "sdxl", "SD3": "sd3", "Flux": "flux"})
#: aliases that name no file: too many trainers left them as they found them
FORBIDDEN = ("none", "addams")
_EMPTY: Mapping[str, Any] = MappingProxyType({})


def stem_of(path: Path) -> str:
    """The name that the files beside a model begin with; a model may also be a folder, which has no extension."""
    return path.name if path.is_dir() else path.stem


def notes_path(path: Path) -> Path:
    return path.with_name(f"{stem_of(path)}.json")


def read_notes(path: Path) -> Mapping[str, Any]:
    """The notes about a model file, empty where there are none. Raises `Conflict` for a file that is something else."""
    notes = notes_path(path)
    try:
        if not notes.is_file():
            return _EMPTY
        parsed = json.loads(notes.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(notes, str(error)) from error
    if not isinstance(parsed, dict):
        raise _unreadable(notes, f"it holds a {type(parsed).__name__}")
    return parsed


def save_notes(path: Path, changes: Mapping[str, Any]) -> Mapping[str, Any]:
    """The notes with the changes; None takes a key away, and all other keys stay.

    Raises `Conflict` where the file beside the model holds something else, which would be lost, and `SaveFailed`.
    """
    kept = {key: value for key, value in {**read_notes(path), **changes}.items() if value is not None}
    write_text(notes_path(path), json.dumps(kept, indent=4, ensure_ascii=False) + "\n")
    return kept


def _unreadable(notes: Path, reason: str) -> Conflict:
    return Conflict(
        f"{notes.name} cannot be read as notes: {reason[:200]}.", remedy="Correct, rename or remove that file.",
        path=str(notes),
    )  # fmt: skip
