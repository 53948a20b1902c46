"""Previews: the pictures beside model files, found, made small and kept, replaced."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from pathlib import Path

from PIL import Image

from atelier.base.errors import NotFound, SaveFailed
from atelier.base.files import write_bytes
from atelier.base.log import fields, logger
from atelier.base.notes import stem_of
from atelier.imaging.decode import open_image
from atelier.imaging.writer import encode

log = logger(__name__)

EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".avif")
#: pixels on the longer side: a card on a screen of twice the usual density
_LONGEST = 512
#: pictures that are made small at the same time; each may be large while it is open
_AT_ONCE = 3


class Folders:
    """The names in folders, each folder read once; a file is found whatever the case of its extension."""

    def __init__(self) -> None:
        self._names: dict[Path, dict[str, str]] = {}

    def find(self, folder: Path, name: str) -> Path | None:
        names = self._names.get(folder)
        if names is None:
            names = self._names[folder] = {_key(entry): entry for entry in _listed(folder)}
        found = names.get(_key(name))
        return folder / found if found is not None else None


def _listed(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        log.warning("folder not read: %s", fields(folder=str(folder), reason=str(error)))
        return []


def _key(name: str) -> str:
    stem, dot, extension = name.rpartition(".")
    return f"{stem}{dot}{extension.lower()}"


def preview_of(path: Path, folders: Folders) -> Path | None:
    """The picture that belongs to a model file, or None. An embedding may be a picture itself."""
    stem = stem_of(path)
    names = [f"{stem}.preview{extension}" for extension in EXTENSIONS]
    names += [path.name] if path.suffix.lower() in EXTENSIONS else []
    names += [f"{stem}{extension}" for extension in EXTENSIONS]
    found = (folders.find(path.parent, name) for name in names)
    return next((preview for preview in found if preview is not None), None)


def replace_preview(path: Path, data: bytes) -> Path:
    """Puts a picture beside a model file as its preview. Raises `BadImage`, `SaveFailed`."""
    image = open_image(data, "preview")
    target = path.with_name(f"{stem_of(path)}.preview.png")
    write_bytes(target, data if data.startswith(b"\x89PNG") else encode(image, "png", ""))
    return target


class Thumbnails:
    """Small WebP versions of pictures, kept in a folder with the time of the original; another time makes one anew."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._gate = threading.BoundedSemaphore(_AT_ONCE)

    def of(self, picture: Path) -> bytes:
        """Raises `NotFound` when the picture is gone, `BadImage` when it is none."""
        kept = self._folder / f"{hashlib.sha256(os.fsencode(picture)).hexdigest()[:40]}.webp"
        try:
            changed = picture.stat().st_mtime_ns
        except OSError as error:
            raise NotFound(f"The picture {picture.name} is no longer there.") from error
        try:
            if kept.stat().st_mtime_ns == changed:
                return kept.read_bytes()
        except OSError:
            # Not made yet, or just thrown away by somebody: it is made now.
            pass
        with self._gate:
            data = _small(picture)
        self._keep(kept, data, changed)
        return data

    def _keep(self, kept: Path, data: bytes, changed: int) -> None:
        try:
            write_bytes(kept, data)
            os.utime(kept, ns=(changed, changed))
        except (SaveFailed, OSError) as error:
            log.warning("small picture not kept: %s", fields(file=str(kept), reason=str(error)))


def _small(picture: Path) -> bytes:
    try:
        data = picture.read_bytes()
    except OSError as error:
        raise NotFound(f"The picture {picture.name} cannot be read: {error.strerror}.") from error
    image = open_image(data, "preview")
    image.thumbnail((_LONGEST, _LONGEST), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=80)
    return buffer.getvalue()
