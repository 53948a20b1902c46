"""Infotext in picture files: where each format keeps it, written exactly, read tolerantly."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from atelier.base.log import logger
from atelier.imaging.decode import BROKEN, open_image
from atelier.imaging.stealth import read_stealth

log = logger(__name__)

KEY = "parameters"
EXIF_IFD, USER_COMMENT = 0x8769, 0x9286
# One JPEG segment holds 65,533 bytes; "Exif\0\0", TIFF header, two directories and the charset take 58 of them.
JPEG_ROOM = 65533 - 58 - 8

# What image libraries put beside the texts; of no interest to people (list: http-api contract, png-info).
_TECHNICAL = frozenset((
    "jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi", "exif", "loop", "background", "timestamp", "duration",
    "progressive", "progression", "icc_profile", "chromaticity", "photoshop", "transparency", "mp", "mpoffset",
    "adobe", "adobe_transform", "version", "extension", "interlace", "gamma", "srgb", "aspect", "default_image",
    "compression", "resolution_unit", "blend", "disposal", "bbox",
))  # fmt: skip


@dataclass(frozen=True)
class Metadata:
    """`infotext` is empty when there is none; `items` are the other texts of the file, such as `postprocessing`.

    Other programs keep their own forms in either; `params/foreign` understands them.
    """

    infotext: str = ""
    items: dict[str, str] = field(default_factory=dict)


def read_metadata(source: Image.Image | bytes, field: str = "image") -> Metadata:
    """Bytes are decoded first and may raise `BadImage`; from a picture nothing is raised.

    An EXIF user comment wins over the text entry `parameters`, that over a GIF comment, that over hidden infotext.
    """
    image = open_image(source, field) if isinstance(source, bytes) else source
    info: dict[str, Any] = dict(image.info)
    infotext = _as_text(info.pop(KEY, ""))
    comment = _exif_comment(info.get("exif"))
    if comment:
        infotext = comment
    elif not infotext and "comment" in info:
        infotext = _as_text(info.pop("comment"))
    if not infotext:
        infotext = read_stealth(image)
    items = {
        str(k): _as_text(v) for k, v in info.items() if k not in _TECHNICAL and isinstance(v, (str, bytes, int, float))
    }
    return Metadata(infotext, items)


def png_texts(texts: Mapping[str, str], xmp: bytes = b"") -> PngInfo:
    """A `tEXt` chunk for each text, `iTXt` where Latin-1 does not do, and one for an XMP packet."""
    chunks = PngInfo()
    for key, text in texts.items():
        if text:
            chunks.add_text(key, storable(text))
    if xmp:
        chunks.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8"))
    return chunks


def exif_block(text: str) -> bytes:
    """An EXIF block with nothing but the user comment: `UNICODE`, NUL, UTF-16 big-endian."""
    return _exif(b"UNICODE\0" + storable(text).encode("utf-16-be"))


def jpeg_exif_block(text: str) -> bytes:
    """As `exif_block`; a text too long for one JPEG segment is written as ASCII where it can be, else cut."""
    text = storable(text)
    if len(text.encode("utf-16-be")) <= JPEG_ROOM:
        return exif_block(text)
    if text.isascii():
        if len(text) > JPEG_ROOM:
            log.warning("infotext cut to fit into a JPEG characters=%d kept=%d", len(text), JPEG_ROOM)
        return _exif(b"ASCII\0\0\0" + text[:JPEG_ROOM].encode("ascii"))
    log.warning("infotext cut to fit into a JPEG characters=%d", len(text))
    kept = text.encode("utf-16-be")[:JPEG_ROOM].decode("utf-16-be", errors="ignore")
    return exif_block(kept)


def storable(text: str) -> str:
    """Without what no format can hold: NUL ends a PNG text, and half a surrogate pair has no encoding."""
    return text.replace("\0", "").encode("utf-8", errors="replace").decode("utf-8")


def _exif(comment: bytes) -> bytes:
    # Written by hand because Pillow gives the tag type BYTE where the standard and strict readers want UNDEFINED (7).
    first = struct.pack(">HHHLLL", 1, EXIF_IFD, 4, 1, 26, 0)
    second = struct.pack(">HHHLLL", 1, USER_COMMENT, 7, len(comment), 44, 0)
    return b"Exif\0\0MM\0*\0\0\0\x08" + first + second + comment


def _exif_comment(block: Any) -> str:
    if not isinstance(block, bytes):
        return ""
    exif = Image.Exif()
    try:
        exif.load(block)
        comment = exif.get_ifd(EXIF_IFD).get(USER_COMMENT, b"")
    except BROKEN as error:
        log.warning("EXIF block cannot be read error=%s", error)
        return ""
    if isinstance(comment, tuple):
        comment = bytes(comment)
    return decode_comment(comment) if isinstance(comment, bytes) else str(comment)


def decode_comment(data: bytes) -> str:
    """Text of a user comment by its 8-byte character code; without one, UTF-8 as far as it goes."""
    head, body = data[:8], data[8:]
    if head == b"UNICODE\0":
        text = _utf16(body)
    elif head == b"ASCII\0\0\0" or head == bytes(8):
        text = body.decode("utf-8", errors="ignore")
    elif head == b"JIS\0\0\0\0\0":
        text = body.decode("shift_jis", errors="ignore")
    else:
        text = data.decode("utf-8", errors="ignore")
    return text.strip("\0")


def _utf16(body: bytes) -> str:
    """Big-endian as our own files and A1111's are, unless a byte order mark or the look of the text says otherwise."""
    if body[:2] == b"\xff\xfe":
        return body[2:].decode("utf-16-le", errors="ignore")
    if body[:2] == b"\xfe\xff":
        return body[2:].decode("utf-16-be", errors="ignore")
    big = body.decode("utf-16-be", errors="ignore")
    if "Steps: " in big:
        return big
    little = body.decode("utf-16-le", errors="ignore")
    if "Steps: " in little or _ascii_count(little) > max(len(little) // 2, _ascii_count(big)):
        return little
    return big


def _ascii_count(text: str) -> int:
    return sum(32 <= ord(c) < 127 for c in text)


def _as_text(value: Any) -> str:
    return value.decode("utf-8", errors="ignore") if isinstance(value, bytes) else str(value)
