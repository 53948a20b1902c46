"""Infotext hidden in the lowest bits of a PNG's pixels, as Forge and others write it."""

from __future__ import annotations

import gzip
import zlib

import numpy as np
from PIL import Image

SIGNATURE_BITS = 15 * 8
# A picture of 16 megapixels could claim megabytes; no infotext is longer than this.
MAX_BITS = 8 << 20


def read_stealth(image: Image.Image) -> str:
    """Empty when there is none. Bits run down the columns: signature, 32-bit length in bits, UTF-8, maybe gzipped."""
    if image.mode not in ("RGB", "RGBA") or image.width * image.height < SIGNATURE_BITS:
        return ""
    pixels = np.asarray(image)
    if image.mode == "RGBA":
        text = _read(pixels[:, :, 3:], b"stealth_pnginfo", b"stealth_pngcomp")
        if text:
            return text
    return _read(pixels[:, :, :3], b"stealth_rgbinfo", b"stealth_rgbcomp")


def _read(pixels: np.ndarray, plain: bytes, packed: bytes) -> str:  # [H, W, C]
    head = _bits(pixels, 0, SIGNATURE_BITS + 32)
    signature = np.packbits(head[:SIGNATURE_BITS]).tobytes()
    if signature not in (plain, packed):
        return ""
    length = int.from_bytes(np.packbits(head[SIGNATURE_BITS:]).tobytes(), "big")
    if not 0 < length <= min(MAX_BITS, pixels.size - SIGNATURE_BITS - 32):
        return ""
    data = np.packbits(_bits(pixels, SIGNATURE_BITS + 32, length)).tobytes()
    if signature == packed:
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error):
            return ""
    return data.decode("utf-8", errors="ignore")


def _bits(pixels: np.ndarray, start: int, count: int) -> np.ndarray:
    """Lowest bits number `start` to `start + count`, column by column; only the columns needed are touched."""
    height, _, channels = pixels.shape
    first, last = start // (height * channels), -(-(start + count) // (height * channels))
    columns = pixels[:, first:last].transpose(1, 0, 2).reshape(-1) & 1
    offset = start - first * height * channels
    return columns[offset : offset + count]
