"""Loading: time and peak memory of opening a checkpoint, each in a fresh process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.once import once
from bench.report import Figure, figure
from bench.timing import spread

MOST_TIMES_FILE = 1.15
#: below this many bytes what loading needs besides the weights is not small beside them
SMALL_FILE = 1e9


def measure_loading(path: Path, dtype: str, rounds: int, name: str) -> Iterator[Figure]:
    """The file's pages are in the system's memory after the first, uncounted time: what is timed is the program."""
    once("load_once", path, dtype)
    found = [once("load_once", path, dtype) for _ in range(rounds)]
    gigabytes, stored = found[0]["file"] / 1e9, found[0]["stored"]
    # Weights that the program widens, as half precision on a CPU, need their own size and not the file's.
    room = "the file" if stored == dtype else f"the weights in {dtype}"
    seconds = spread([f["seconds"] for f in found])
    times = spread([(f["peak"] - f["before"]) / max(f["file"], f["weights"]) for f in found])
    before, peak = found[0]["before"] / 1e6, found[0]["peak"] / 1e6
    yield figure(f"{name}.seconds", f"{name}: loading {gigabytes:.2g} GB as {dtype}", "s", seconds)
    note = f"runtime alone {before:.0f} MB, peak with the model {peak:.0f} MB"
    what = f"{name}: peak memory above the runtime, times {room}"
    limit = MOST_TIMES_FILE if found[0]["file"] >= SMALL_FILE else None
    yield figure(f"{name}.peak", what, "x", times, limit=limit, note=note)
