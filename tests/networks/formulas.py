"""The change that each form means, written out plainly in float64 as its authors state it, number by number."""

from __future__ import annotations

import numpy as np


def lora(up, down, alpha=None):
    """W' = W + alpha / r * up @ down."""
    rank = down.shape[0]
    matrix = sum(np.outer(up.reshape(len(up), -1)[:, r], down.reshape(rank, -1)[r]) for r in range(rank))
    return matrix * (1.0 if alpha is None else alpha / rank)


def locon_cp(up, mid, down, alpha):
    out = np.zeros((up.shape[0], down.shape[1], *mid.shape[2:]))
    for n in range(mid.shape[0]):
        for m in range(mid.shape[1]):
            out += up[:, n, None, None, None] * down[None, m, :, None, None] * mid[None, None, n, m]
    return out * alpha / down.shape[0]


def loha(w1a, w1b, w2a, w2b, alpha):
    return (w1a @ w1b) * (w2a @ w2b) * alpha / len(w1b)


def cp(core, a, b):
    """sum over i, j of core[i, j] a[i, out] b[j, in]."""
    out = np.zeros((a.shape[1], b.shape[1], *core.shape[2:]))
    for i in range(core.shape[0]):
        for j in range(core.shape[1]):
            out += a[i][:, None, None, None] * b[j][None, :, None, None] * core[i, j]
    return out


def kron(small, large):
    """Block (i, j) is small[i, j] times the large one."""
    rows = [np.concatenate([value * large for value in row], axis=1) for row in small]
    return np.concatenate(rows, axis=0)


def cayley(block):
    skew = block - block.T
    eye = np.eye(len(block))
    return (eye + skew) @ np.linalg.inv(eye - skew)


def constrained(blocks, constraint):
    """The skew parts as they are used: together no longer than the constraint."""
    skew = blocks - np.swapaxes(blocks, -1, -2)
    norm = np.sqrt((skew**2).sum())
    return blocks * (constraint / norm) if norm > constraint else blocks


def oft(weight, rotations):
    """Each group of outputs y becomes y R: the rows of a group become R' times the rows."""
    size = len(rotations[0])
    flat = weight.reshape(len(weight), -1)
    turned = [r.T @ flat[i * size : (i + 1) * size] for i, r in enumerate(rotations)]
    return np.concatenate(turned).reshape(weight.shape)


def butterfly(weight, stages):
    """Stage s turns, block by block, rows gathered so that neighbours in a block were 2^s * b / 2 rows apart."""
    out = weight.reshape(len(weight), -1).copy()
    for s, blocks in enumerate(stages):
        b = blocks.shape[-1]
        apart = 2**s * b // 2
        # order[new place] = old place: pairs (x, x + apart) inside of each span of 2 * apart come side by side
        order = [start + x + apart * y for start in range(0, len(out), 2 * apart) for x in range(apart) for y in (0, 1)]
        gathered = out[order]
        turned = np.concatenate([block @ gathered[i * b : (i + 1) * b] for i, block in enumerate(blocks)])
        out[order] = turned
    return out.reshape(weight.shape)


def dora_by_column(weight, change, length):
    """A trained length for each input column, over outputs and kernel."""
    new = weight + change
    for column in range(weight.shape[1]):
        norm = np.sqrt((new[:, column] ** 2).sum())
        new[:, column] *= length.reshape(-1)[column] / norm
    return new - weight


def dora_by_row(weight, change, length):
    new = weight + change
    for row in range(weight.shape[0]):
        norm = np.sqrt((new[row] ** 2).sum())
        new[row] *= length.reshape(-1)[row] / norm
    return new - weight
