"""Parcels: all pictures of a job in one zip file."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import IO

from fastapi import APIRouter
from starlette.responses import StreamingResponse

from atelier.app import App
from atelier.base.errors import NotFound
from atelier.web.api.common import FAILURES, OwnedApp
from atelier.web.api.jobs import PictureView, pictures_of
from atelier.web.api.pictures import media_of

router = APIRouter(prefix="/atelier/v1", tags=["Jobs"], responses=dict(FAILURES))

#: a parcel of more bytes waits on the disk
_IN_MEMORY = 32 << 20
_CHUNK = 1 << 20


@router.get(
    "/jobs/{id}/pictures.zip", response_class=StreamingResponse, responses={200: {"content": {"application/zip": {}}}}
)
def parcel(id: str, app: OwnedApp) -> StreamingResponse:
    """The finished pictures of a job under the names of their files. Those that are gone are left out."""
    file = tempfile.SpooledTemporaryFile(_IN_MEMORY)
    count = _pack(app, pictures_of(app, app.executor.row(id)), file)
    if not count:
        file.close()
        raise NotFound(f"The job {id} has no pictures.", remedy="Wait until one is finished.", job=id)
    size = file.tell()
    file.seek(0)
    headers = {"Content-Length": str(size), "Content-Disposition": f'attachment; filename="pictures-{_plain(id)}.zip"'}
    return StreamingResponse(_chunks(file), media_type="application/zip", headers=headers)


def _pack(app: App, pictures: list[PictureView], file: IO[bytes]) -> int:
    """How many pictures there were. They are compressed already."""
    names: set[str] = set()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for number, picture in enumerate(pictures):
            try:
                data = _bytes(app, picture)
            except NotFound:
                # Its file was deleted by hand, and its bytes are no longer kept: that is all there is to know.
                continue
            name = _file_name(picture.path) or f"{number:05d}-{picture.seed}.{media_of(data).rpartition('/')[2]}"
            if name in names:
                name = f"{number:05d}-{name}"
            names.add(name)
            archive.writestr(name, data)
    return len(names)


def _bytes(app: App, picture: PictureView) -> bytes:
    """Of the saved file, which may be of another format; else those that were kept. Raises `NotFound`."""
    path = Path(picture.path)
    return path.read_bytes() if picture.path and path.is_file() else app.blobs.bytes(picture.sha256)


def _file_name(path: str) -> str:
    return PurePath(path.replace("\\", "/")).name


def _plain(id: str) -> str:
    return "".join(letter for letter in id if letter.isascii() and (letter.isalnum() or letter in "-_"))[:80]


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while chunk := file.read(_CHUNK):
            yield chunk
