"""ImageRef: a picture named by the hash of its bytes, so that requests stay small."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ImageRef:
    """`sha256` of the encoded bytes in the blob store; `width` and `height` in pixels after EXIF rotation."""

    sha256: str
    width: int = 0
    height: int = 0
    media: str = "image/png"
