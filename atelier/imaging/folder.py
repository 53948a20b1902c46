"""The pictures in a folder of this machine, in the order of their names."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from atelier.base.errors import BadRequest
from atelier.imaging.decode import FORMATS

ENDINGS = frozenset(ending for ending, name in Image.registered_extensions().items() if name in FORMATS)


def pictures_in(folder: str, field: str) -> list[Path]:
    """Files whose ending is that of a picture; hidden ones are left out. Raises `BadRequest` where there are none."""
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise BadRequest(field, f"there is no folder {folder}.", remedy="Check its name.")
    found = sorted(p for p in path.iterdir() if p.suffix.lower() in ENDINGS and not p.name.startswith("."))
    if not found:
        raise BadRequest(field, f"there are no pictures in {folder}.", remedy="Choose another folder.")
    return found
