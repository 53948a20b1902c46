"""Weights of multistep samplers: integrals over a step of the polynomials through what was seen before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

NODES, WEIGHTS = np.polynomial.legendre.leggauss(24)


def same(values: np.ndarray) -> np.ndarray:
    """The weight function 1, or time as it is."""
    return values


def step_weights(
    points: Sequence[float],
    start: float,
    end: float,
    measure: Callable[[np.ndarray], np.ndarray] = np.ones_like,
    time: Callable[[np.ndarray], np.ndarray] = same,
) -> list[float]:
    """For each point j the integral from `start` to `end` of measure(s) * l_j(time(s)) ds.

    l_j is Lagrange's polynomial over the times of `points` that is 1 at point j. Gauss-Legendre with 24 nodes: exact
    to rounding for the smooth functions here.
    """
    known = time(np.asarray(points, dtype=np.float64))
    nodes = (end - start) / 2 * NODES + (end + start) / 2
    share = (end - start) / 2 * WEIGHTS * measure(nodes)
    times = time(nodes)
    weights = []
    for j, own in enumerate(known):
        others = np.delete(known, j)
        basis = np.prod((times[:, None] - others) / (own - others), axis=1)
        weights.append(float(np.sum(share * basis)))
    return weights
