"""BlobStore: pictures kept by the hash of their bytes, so that requests and events stay small."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Set
from pathlib import Path

from PIL import Image

from atelier.base.errors import NotFound
from atelier.base.files import write_bytes
from atelier.base.log import logger
from atelier.base.refs import ImageRef
from atelier.imaging.decode import LIMIT_MP, decode, open_image
from atelier.imaging.writer import encode

log = logger(__name__)

DAY = 86400.0
# The class below has a method named `bytes`.
Data = bytes
_NAME = re.compile(r"[0-9a-f]{64}")


class BlobStore:
    """Files `<folder>/<2 hex>/<64 hex>` without extension. Safe to use from several threads and processes:
    a blob never changes, and appears under its name only when whole."""

    def __init__(self, folder: Path, *, limit_mp: float = LIMIT_MP) -> None:
        self.folder = folder
        self.limit_mp = limit_mp

    def put_image(self, image: Image.Image, infotext: str = "") -> ImageRef:
        """Stored as PNG. Raises `SaveFailed`."""
        return self.put_encoded(encode(image, "png", infotext, fast=True), image.size, "image/png")

    def put_bytes(self, data: Data, field: str = "image") -> ImageRef:
        """The bytes as they came, once a full decode has shown a picture. Raises `BadImage`, `SaveFailed`."""
        decoded = decode(data, field, limit_mp=self.limit_mp)
        return self.put_encoded(data, decoded.image.size, decoded.media)

    def put_encoded(self, data: Data, size: tuple[int, int], media: str) -> ImageRef:
        """For bytes that this program has encoded itself."""
        digest = hashlib.sha256(data).hexdigest()
        path = self._place(digest)
        try:
            # Used again means needed again: `clean` goes by the time of change.
            os.utime(path)
        except OSError:
            write_bytes(path, data)
        return ImageRef(digest, size[0], size[1], media)

    def has(self, ref: ImageRef | str) -> bool:
        return self._place(_digest(ref)).is_file()

    def find(self, start: str) -> str | None:
        """The hash of a kept picture that begins so, given by at least 8 digits; None when there is none."""
        if not re.fullmatch(r"[0-9a-f]{8,64}", start):
            return None
        names = (path.name for path in (self.folder / start[:2]).glob(f"{start}*"))
        return next((name for name in names if _NAME.fullmatch(name)), None)

    def path(self, ref: ImageRef | str) -> Path:
        """Raises `NotFound` when the blob is not, or no longer, here."""
        path = self._place(_digest(ref))
        if not path.is_file():
            raise _gone(ref)
        return path

    def bytes(self, ref: ImageRef | str) -> Data:
        try:
            return self._place(_digest(ref)).read_bytes()
        except FileNotFoundError as error:
            raise _gone(ref) from error

    def image(self, ref: ImageRef | str, field: str = "image") -> Image.Image:
        """RGB or RGBA, upright. Raises `NotFound`, or `BadImage` when the file was damaged on disk."""
        return open_image(self.bytes(ref), field, limit_mp=self.limit_mp)

    def clean(self, keep: Set[str], *, older_than: float = 7 * DAY) -> int:
        """Deletes blobs that are not in `keep` (hashes) and were not touched for `older_than` seconds.

        Returns how many were deleted. Half-written files of dead processes go too.
        """
        limit = time.time() - older_than
        removed = 0
        for path in self.folder.glob("??/*") if self.folder.is_dir() else ():
            try:
                if path.name in keep or path.stat().st_mtime > limit:
                    continue
                path.unlink()
                removed += 1
            except OSError as error:
                log.warning("blob not deleted path=%s error=%s", path, error)
        return removed

    def _place(self, digest: str) -> Path:
        return self.folder / digest[:2] / digest


def _digest(ref: ImageRef | str) -> str:
    digest = ref.sha256 if isinstance(ref, ImageRef) else ref
    # Hashes come from outside too; one that is no hash must never become a path.
    if not _NAME.fullmatch(digest):
        raise _gone(ref)
    return digest


def _gone(ref: ImageRef | str) -> NotFound:
    digest = ref.sha256 if isinstance(ref, ImageRef) else ref
    return NotFound(
        f"The picture {digest[:12]} is no longer kept.", remedy="Send the picture again.", sha256=digest[:80]
    )
