"""Walking a folder of models: files below it, and folders that are models themselves."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

FOLDER_MARK = "model_index.json"


def natural(name: str) -> list[tuple[int, int | str]]:
    """Order in which "model 2" stands before "model 10"."""
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", name.lower()) if part]


def walk(root: Path) -> Iterator[Path]:
    """Files below a folder, and folders in diffusers layout as one; hidden ones are passed over."""
    seen: set[str] = set()
    for folder, subfolders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            # A link that leads back up would be walked for ever.
            subfolders.clear()
            continue
        seen.add(real)
        here = Path(folder)
        models = [name for name in subfolders if (here / name / FOLDER_MARK).is_file()]
        subfolders[:] = sorted(s for s in subfolders if s not in models and not s.startswith("."))
        yield from (here / name for name in sorted(models))
        yield from (here / name for name in sorted(files) if not name.startswith(".") and (here / name).is_file())
