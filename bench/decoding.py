"""Decoding: the memory that a large picture takes in tiles, and the time of tiles against the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from bench.once import once
from bench.report import Figure, figure, over
from bench.studio import Studio
from bench.timing import Effort, Figures, StepClock, alternate, spread

#: for 2048 x 2048, above the runtime
MOST_GIGABYTES = 4.0


def measure_large(path: Path, data: Path, side: int, name: str, full: bool) -> Iterator[Figure]:
    """By the program's own step of the recipe, in a process of its own. Weights count, what was imported does not.

    Only a `full` autoencoder has a size that is worth a target.
    """
    found = once("decode_once", path, data, side)
    before, loaded, peak = (found[key] / 1e9 for key in ("before", "loaded", "peak"))
    what = f"{name}: {side} x {side} in tiles, peak memory above the runtime"
    note = f"runtime alone {before:.2f} GB, with the model {loaded:.2f} GB, peak {peak:.2f} GB"
    yield figure(f"{name}.large.peak", what, "GB", spread([peak - before]), note=note,
                 limit=MOST_GIGABYTES if full else None)  # fmt: skip
    yield figure(f"{name}.large.seconds", f"{name}: the same in time", "s", spread([found["seconds"]]))


def measure_tiles(studio: Studio, side: int, effort: Effort, name: str) -> Iterator[Figure]:
    """Tiles overlap, so they are more work than the whole; this says how much more."""
    model, seen = studio.model, {}
    cells = side // model.latent.factor
    latents = torch.randn(1, model.latent.channels, cells, cells, generator=torch.Generator().manual_seed(3))

    def contender(key: str, tiled: bool) -> Callable[[], Figures]:
        def work() -> Figures:
            clock = StepClock(studio.settle)
            clock.mark()
            seen[key] = model.decode(latents, tiled=tiled).cpu()
            clock.mark()
            return clock.figures()

        return work

    rounds = alternate({"whole": contender("whole", False), "tiles": contender("tiles", True)}, effort)
    apart = float((seen["tiles"] - seen["whole"]).abs().mean()) * 255 / 2
    size = f"{side} x {side}"
    yield figure(f"{name}.whole", f"{name}: {size} as a whole", "s", rounds.spread("whole", "step"))
    yield over(f"{name}.tiles", f"{name}: {size} in tiles over the whole", rounds.ratio("tiles", "whole", "step"),
               note=f"mean difference {apart:.3f}/255")  # fmt: skip
    yield over(f"{name}.tiles.cpu", f"{name}: the same in processor time", rounds.ratio("tiles", "whole", "step_cpu"))
