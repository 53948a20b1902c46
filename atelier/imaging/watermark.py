"""Watermark: a short word hidden in a picture's brightness, which outlives JPEG and is read without the original."""

from __future__ import annotations

import zlib

import numpy as np
from PIL import Image

#: bytes of UTF-8 that the word may have
LENGTH = 8
#: three bytes of a checksum: about one picture in 16 million that was never marked would seem to be
CHECK = 3
BITS = 8 * (LENGTH + CHECK)
BLOCK = 8
#: Coefficients of a block that carry a bit each: low ones, which JPEG keeps exactly enough.
CARRIERS = ((1, 1), (0, 2), (2, 0))
#: Width of a lattice, in grey levels of an orthonormal transform. A place is read wrong when more than a quarter of it
#: is lost. JPEG of quality 90 rounds these coefficients to multiples of 2 or 3, of quality 80 to multiples of 4 to 6.
STEP = 12.0
#: each bit wants some places, since some of them will be where a picture is at the end of its range
PLACES = 4
#: grey levels left free below white and above black, for what JPEG adds
ROOM = 1.0
ROUNDS = 6

# ITU-R BT.601, the brightness that JPEG codes.
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_ORDER_SEED = 20221


def has_room(size: tuple[int, int]) -> bool:
    """Whether a picture of this size (width, height) can hold the mark: about 88 x 88 pixels and more."""
    return (size[0] // BLOCK) * (size[1] // BLOCK) * len(CARRIERS) >= BITS * PLACES


def embed(image: Image.Image, word: str) -> Image.Image:
    """The picture with the word, or its first 8 bytes, in it; transparency stays.

    Quantisation index modulation (Chen and Wornell, 2001) of DCT coefficients: a coefficient is moved to the nearest
    point of one of two lattices, half a step apart; which one is the bit.
    """
    alpha = image.getchannel("A") if "A" in image.getbands() else None
    pixels = np.asarray(image.convert("RGB"), dtype=np.float32)
    blocks = _blocks(pixels)  # [N, 8, 8, 3]
    coefficients = _forward(blocks @ _LUMA)  # [N, 8, 8]
    change = np.zeros_like(coefficients)
    bits = _bits(word)[_order(len(blocks))].reshape(len(blocks), len(CARRIERS))
    for place, (row, column) in enumerate(CARRIERS):
        was, offset = coefficients[:, row, column], bits[:, place] * STEP / 2
        change[:, row, column] = np.round((was - offset) / STEP) * STEP + offset - was
    marked = _into_range(blocks, _backward(change))
    made = pixels.copy()
    made[: pixels.shape[0] // BLOCK * BLOCK, : pixels.shape[1] // BLOCK * BLOCK] = _joined(marked, pixels.shape)
    result = Image.fromarray(np.clip(np.round(made), 0, 255).astype(np.uint8))
    if alpha is not None:
        result.putalpha(alpha)
    return result


def detect(image: Image.Image) -> str:
    """The word in a picture; empty where there is none. Cropping and resizing destroy it."""
    if not has_room(image.size):
        return ""
    blocks = _blocks(np.asarray(image.convert("RGB"), dtype=np.float32))
    coefficients = _forward(blocks @ _LUMA)
    values = np.stack([coefficients[:, row, column] for row, column in CARRIERS], axis=1).reshape(-1)
    # +1 on the lattice of a one, -1 on that of a zero, in between by the distance.
    votes = -np.cos(2 * np.pi * values / STEP)
    total = np.bincount(_order(len(blocks)), weights=votes, minlength=BITS)
    data = np.packbits(total > 0).tobytes()
    word, check = data[:LENGTH], data[LENGTH:]
    if check != _check(word):
        return ""
    return word.rstrip(b"\0").decode("utf-8", errors="replace")


def _bits(word: str) -> np.ndarray:
    # Cut between characters, not inside of one.
    kept = word.strip().encode("utf-8")[:LENGTH].decode("utf-8", errors="ignore")
    data = kept.encode("utf-8").ljust(LENGTH, b"\0")
    return np.unpackbits(np.frombuffer(data + _check(data), np.uint8)).astype(np.float32)


def _check(word: bytes) -> bytes:
    return zlib.crc32(word).to_bytes(4, "big")[:CHECK]


def _order(blocks: int) -> np.ndarray:
    """Which bit each place carries, scattered so that every bit has places all over the picture."""
    places = np.arange(blocks * len(CARRIERS)) % BITS
    # The legacy generator: its numbers are the same in every version of numpy.
    return np.random.RandomState(_ORDER_SEED).permutation(places)


def _blocks(pixels: np.ndarray) -> np.ndarray:  # [H, W, 3] -> [N, 8, 8, 3]
    rows, columns = pixels.shape[0] // BLOCK, pixels.shape[1] // BLOCK
    cut = pixels[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK, 3)
    return cut.transpose(0, 2, 1, 3, 4).reshape(-1, BLOCK, BLOCK, 3)


def _joined(blocks: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    rows, columns = shape[0] // BLOCK, shape[1] // BLOCK
    return blocks.reshape(rows, columns, BLOCK, BLOCK, 3).transpose(0, 2, 1, 3, 4).reshape(rows * BLOCK, -1, 3)


def _into_range(blocks: np.ndarray, change: np.ndarray) -> np.ndarray:  # [N, 8, 8, 3], [N, 8, 8]
    """The blocks with the change of their brightness, in 0..255. Clipping would take half of it away where a picture
    is black or white: such blocks become a little brighter or darker as a whole, which the carriers do not notice.
    Where single colours are at their end, the others make up for them."""
    moved = blocks + change[..., None]
    top, bottom = moved.max(axis=(1, 2, 3)), moved.min(axis=(1, 2, 3))
    shift = np.where(top > 255, 255 - ROOM - top, np.where(bottom < 0, ROOM - bottom, 0)).astype(np.float32)
    moved += shift[:, None, None, None]
    ends = shift != 0
    wanted, made = (blocks[ends] @ _LUMA) + change[ends] + shift[ends, None, None], np.clip(moved[ends], 0, 255)
    for _ in range(ROUNDS):
        made = np.clip(made + (wanted - made @ _LUMA)[..., None], 0, 255)
    moved[ends] = made
    return moved


def _basis() -> np.ndarray:
    """The orthonormal DCT-II of 8 values, a row for each frequency."""
    k, n = np.mgrid[0:BLOCK, 0:BLOCK]
    basis = np.cos(np.pi * (2 * n + 1) * k / (2 * BLOCK)) * np.sqrt(2 / BLOCK)
    basis[0] /= np.sqrt(2)
    return basis.astype(np.float32)


def _forward(blocks: np.ndarray) -> np.ndarray:
    basis = _basis()
    return basis @ blocks @ basis.T


def _backward(coefficients: np.ndarray) -> np.ndarray:
    basis = _basis()
    return basis.T @ coefficients @ basis
