"""Swaps: what fifty changes of the checkpoint leave in memory."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file

from bench.once import once
from bench.report import Figure, figure, over
from bench.timing import spread

SWAPS = 50
#: in the first of which libraries and allocators take what they keep
SETTLING = 2
MOST_PERCENT = 5.0


def write_pair(source: Path, folder: Path) -> tuple[Path, Path]:
    """A copy of a checkpoint and one with other weights, with the configuration that the source has beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    pair = folder / "first.safetensors", folder / "second.safetensors"
    shutil.copyfile(source, pair[0])
    with safe_open(source, "pt") as file:
        save_file({name: file.get_tensor(name) * 0.5 for name in file.keys()}, str(pair[1]), file.metadata())  # noqa: SIM118
    for path in pair if source.with_suffix(".yaml").is_file() else ():
        shutil.copyfile(source.with_suffix(".yaml"), path.with_suffix(".yaml"))
    return pair


def growth(after: Sequence[int]) -> tuple[float, float]:
    """Memory after the last swap over that after the first ones, and the bytes that a swap left on the way.

    Raises `ValueError` for a number of swaps at whose end another checkpoint is open than at the beginning.
    """
    if len(after) <= SETTLING or (len(after) - SETTLING) % 2:
        raise ValueError(f"{len(after)} swaps do not end with the checkpoint of swap {SETTLING}")
    settled, last = after[SETTLING - 1], after[-1]
    return last / settled, (last - settled) / (len(after) - SETTLING)


def measure_swaps(
    pair: tuple[Path, Path], data: Path, precision: str, name: str, count: int = SWAPS
) -> Iterator[Figure]:
    """Two files of one folder, opened in turn by the program's library in a process of its own."""
    found = once("swap_once", *pair, data, precision, count)
    after, before = found["after"], found["before"]
    ratio, left = growth(after)
    moments = {"before": before, f"after {SETTLING}": after[SETTLING - 1], f"after {count}": after[-1],
               "most between": max(after), "peak": found["peak"]}  # fmt: skip
    note = ", ".join(f"{moment} {size / 1e6:.0f} MB" for moment, size in moments.items())
    yield over(f"{name}.resident", f"{name}: resident memory after {count} swaps over that after {SETTLING}",
               spread([ratio]), limit=MOST_PERCENT, note=note)  # fmt: skip
    yield figure(f"{name}.left", f"{name}: what one swap left of it", "MB", spread([left]), scale=1e-6)
