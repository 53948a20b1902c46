"""Philox: the counter-based random numbers of NVIDIA GPUs, computed anywhere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Philox 4x32-10 of Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
# Numbers made at a time: a few arrays of this length stay in the processor's cache.
BLOCK = 8192
LOW = np.uint64(0xFFFFFFFF)
HIGH = np.uint64(32)
TO_UNIT = np.float32(2.3283064e-10)
TO_ANGLE = np.float32(2.3283064e-10 * 6.2831855)


class Philox:
    """Normal numbers that equal those of a CUDA generator with the same seed. Each draw moves on by one."""

    def __init__(self, seed: int) -> None:
        self.seed = seed & 0xFFFFFFFFFFFFFFFF
        self.offset = 0

    def randn(self, shape: Sequence[int]) -> np.ndarray:  # float32, of `shape`
        count = int(np.prod(shape, dtype=np.int64))
        offset, self.offset = self.offset, self.offset + 1
        parts = [self._block(offset, start, min(start + BLOCK, count)) for start in range(0, count, BLOCK)]
        return np.concatenate(parts or [np.zeros(0, np.float32)]).reshape(tuple(shape))

    def _block(self, offset: int, start: int, end: int) -> np.ndarray:
        index = np.arange(start, end, dtype=np.uint64)
        zero = np.zeros_like(index)
        words = [zero + np.uint64(offset), zero, index, zero]
        key = [self.seed & 0xFFFFFFFF, self.seed >> 32]
        for turn in range(ROUNDS):
            words = _round(words, np.uint64(key[0]), np.uint64(key[1]))
            if turn < ROUNDS - 1:
                key = [(part + step) & 0xFFFFFFFF for part, step in zip(key, WEYL)]
        return _box_muller(words[0], words[1])


def _round(c: list[np.ndarray], key0: np.uint64, key1: np.uint64) -> list[np.ndarray]:
    first, second = MULTIPLIERS[0] * c[0], MULTIPLIERS[1] * c[2]
    return [(second >> HIGH) ^ c[1] ^ key0, second & LOW, (first >> HIGH) ^ c[3] ^ key1, first & LOW]


def _box_muller(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    half = np.float32(0.5)
    u = first.astype(np.float32) * TO_UNIT + TO_UNIT * half
    v = second.astype(np.float32) * TO_ANGLE + TO_ANGLE * half
    return np.sqrt(np.float32(-2) * np.log(u)) * np.sin(v)
