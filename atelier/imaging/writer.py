"""Encoding a picture with its infotext, and saving it once, whole or not at all."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from PIL import Image

from atelier.base.errors import BadRequest, SaveFailed
from atelier.base.files import write_bytes, write_text
from atelier.imaging.decode import flatten
from atelier.imaging.metadata import KEY, exif_block, jpeg_exif_block, png_texts, storable
from atelier.imaging.resize import fit_within

MEDIA = MappingProxyType({
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp", "avif": "image/avif",
    "gif": "image/gif",
})  # fmt: skip
# On 768x1024 pixels: level 4 is three times as quick as Pillow's 6 for files 2 % larger, level 1 five times for 17 %.
LEVEL, FAST_LEVEL = 4, 1
# Longest side each format can hold.
_MAX_SIDE = MappingProxyType({"jpg": 65500, "jpeg": 65500, "webp": 16383, "avif": 65536})


@dataclass(frozen=True)
class _How:
    quality: int
    lossless: bool
    level: int
    xmp: bytes


def encode(
    image: Image.Image,
    format: str,
    infotext: str | Mapping[str, str] = "",
    quality: int = 80,
    lossless: bool = False,
    *,
    fast: bool = False,
    xmp: bytes = b"",
) -> bytes:
    """`format` is png, jpg, jpeg, webp, avif or gif; `quality` 1..100 for jpg, webp and avif; `lossless` for webp.

    A mapping gives several named text entries, of which formats other than PNG keep `parameters` only. What
    `image.info` holds is not written. Transparent pictures are laid on white where the format is not PNG.
    `fast` makes PNG files a little larger in half the time. `xmp` is a packet for the file; GIF has no place for it.
    Raises `BadRequest`, `SaveFailed`.
    """
    format = format.lower().lstrip(".")
    if format not in MEDIA:
        raise BadRequest("format", f"pictures cannot be written as {format!r}.", remedy=f"Use {', '.join(MEDIA)}.")
    texts = {KEY: infotext} if isinstance(infotext, str) else dict(infotext)
    side = max(image.size)
    if side > _MAX_SIDE.get(format, side):
        raise SaveFailed(
            f"A picture {side} pixels long does not fit into {format}.", remedy="Choose PNG, or make it smaller."
        )
    out = io.BytesIO()
    how = _How(max(1, min(100, int(quality))), lossless, FAST_LEVEL if fast else LEVEL, xmp)
    try:
        _encode_into(out, _bare(image), format, texts, how)
    except (OSError, ValueError, RuntimeError) as error:
        raise SaveFailed(f"The picture could not be encoded as {format}: {error}.", remedy="Choose PNG.") from error
    return out.getvalue()


def _bare(image: Image.Image) -> Image.Image:
    """A copy without what it brought along from elsewhere: Pillow would write an old comment as if it were ours."""
    bare = image.copy()
    bare.info = {k: v for k, v in image.info.items() if k in ("icc_profile", "transparency")}
    return bare


def _encode_into(out: io.BytesIO, image: Image.Image, format: str, texts: Mapping[str, str], how: _How) -> None:
    text = texts.get(KEY, "")
    if format == "png":
        image.save(out, "PNG", pnginfo=png_texts(texts, how.xmp), compress_level=how.level)
        return
    image, packet = flatten(image), {"xmp": how.xmp} if how.xmp else {}
    if format in ("jpg", "jpeg"):
        extra = {"exif": jpeg_exif_block(text)} if text else {}
        image.save(out, "JPEG", quality=how.quality, **extra, **packet)
    elif format == "webp":
        extra = {"exif": exif_block(text)} if text else {}
        image.save(out, "WEBP", quality=100 if how.lossless else how.quality, lossless=how.lossless, **extra, **packet)
    elif format == "avif":
        extra = {"exif": exif_block(text)} if text else {}
        image.save(out, "AVIF", quality=how.quality, **extra, **packet)
    else:
        extra = {"comment": storable(text).encode("utf-8")} if text else {}
        image.save(out, "GIF", **extra)


def save_picture(
    image: Image.Image, folder: Path, stem: str, format: str = "png", infotext: str | Mapping[str, str] = "",
    *, quality: int = 80, lossless: bool = False,
) -> Path:  # fmt: skip
    """`<folder>/<stem>.<format>`, replacing a file of that name. A missing folder is made. Raises `SaveFailed`."""
    path = folder / f"{stem}.{format.lower().lstrip('.')}"
    write_bytes(path, encode(image, format, infotext, quality, lossless))
    return path


def save_side_text(path: Path, infotext: str) -> Path:
    """The infotext beside a picture, under its name with `.txt`."""
    side = path.with_name(path.stem + ".txt")
    write_text(side, storable(infotext))
    return side


def save_small_copy(
    image: Image.Image, path: Path, infotext: str = "", *, limit_mb: float = 4.0, side: int = 4000, quality: int = 80
) -> Path | None:
    """A JPEG beside a saved picture that is larger than `limit_mb` or longer than `side` pixels, which sites refuse.

    None when the picture is small enough or a JPEG already and short enough.
    """
    too_long = max(image.size) > side
    too_big = os.path.getsize(path) > limit_mb * (1 << 20) and path.suffix.lower() not in (".jpg", ".jpeg")
    if not too_long and not too_big:
        return None
    stem = path.stem if path.suffix.lower() not in (".jpg", ".jpeg") else f"{path.stem}-small"
    return save_picture(fit_within(image, side), path.parent, stem, "jpg", infotext, quality=quality)
