"""BrownianPath: one picture's random walk over sigma, the same whatever the order of the questions."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable

import numpy as np
from torch import Tensor

# These follow torchsde's BrownianTree, so that known seeds keep their pictures.
DIGITS = 6
POOL_SIZE = 24
# Enough for the ways down to three neighbouring points; with fewer, most increments are drawn twice.
REMEMBERED = 104


class BrownianPath:
    """A virtual Brownian tree (Li et al. 2020) over [start, end] whose normal draws come from `draw(seed)`.

    The interval is halved until an asked point is met to six digits; every half has a seed that follows from the
    path's `entropy` and its place in the tree. Increments are kept for the latest nodes only and drawn again when
    needed, because a picture's path would else fill memory.
    """

    def __init__(self, draw: Callable[[int], Tensor], start: float, end: float, entropy: int) -> None:
        self._draw = draw
        self.start, self.end = _rounded(start), _rounded(end)
        self._entropy = entropy & 0xFFFFFFFFFFFFFFFF
        self._known: OrderedDict[tuple[int, int], Tensor] = OrderedDict()
        self._total = self._draw(self._seed(None)) * math.sqrt(end - start)

    def increment(self, a: float, b: float) -> Tensor | None:
        """W(b) - W(a) for a <= b, or None where both are the same point. Points outside are moved to the ends."""
        a, b = (_rounded(min(max(point, self.start), self.end)) for point in (a, b))
        if a >= b:
            return None
        return self._between(0, 0, self.start, self.end, a, b)

    def _between(self, key: int, depth: int, start: float, end: float, a: float, b: float) -> Tensor:
        if a == start and b == end:
            return self._increment_of(key, depth)
        middle = _rounded(0.5 * (start + end))
        if middle in (start, end):
            # No finer: the point lies between two neighbours of six digits.
            return self._increment_of(key, depth)
        if b <= middle:
            return self._between(2 * key, depth + 1, start, middle, a, b)
        if a >= middle:
            return self._between(2 * key + 1, depth + 1, middle, end, a, b)
        left = self._between(2 * key, depth + 1, start, middle, a, middle)
        return left + self._between(2 * key + 1, depth + 1, middle, end, middle, b)

    def _increment_of(self, key: int, depth: int) -> Tensor:
        if depth == 0:
            return self._total
        found = self._known.get((key, depth))
        if found is None:
            self._halve(key >> 1, depth - 1)
            found = self._known[(key, depth)]
        self._known.move_to_end((key, depth))
        return found

    def _halve(self, key: int, depth: int) -> None:
        """Splits a node's increment in two by the law of the Brownian bridge."""
        whole = self._increment_of(key, depth)
        start, end = self._span(key, depth)
        middle = _rounded(0.5 * (start + end))
        before, after, inverse = middle - start, end - middle, 1 / (end - start)
        noise = self._draw(self._seed((key, depth)))
        left = before * whole * inverse + math.sqrt(before * after * inverse) * noise
        self._remember((2 * key, depth + 1), left)
        self._remember((2 * key + 1, depth + 1), whole - left)

    def _span(self, key: int, depth: int) -> tuple[float, float]:
        start, end = self.start, self.end
        for level in reversed(range(depth)):
            middle = _rounded(0.5 * (start + end))
            start, end = (middle, end) if key >> level & 1 else (start, middle)
        return start, end

    def _remember(self, node: tuple[int, int], increment: Tensor) -> None:
        self._known[node] = increment
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def _seed(self, node: tuple[int, int] | None) -> int:
        sequence = np.random.SeedSequence(self._entropy, spawn_key=node or (), pool_size=POOL_SIZE)
        return int(sequence.generate_state(4)[0])


def _rounded(value: float) -> float:
    return round(float(value), DIGITS)
