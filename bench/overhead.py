"""Overhead: what Atelier's recipe costs over a bare loop of the same modules."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.bare import BareLoop, difference
from bench.report import Figure, figure, over
from bench.studio import Scene, Studio
from bench.timing import Effort, Figures, alternate

MOST_PERCENT = 3.0
MOST_MILLISECONDS = 8.0


def measure_overhead(studio: Studio, scene: Scene, effort: Effort, name: str, full: bool) -> Iterator[Figure]:
    """`full` holds the figures against the target of a full-size model, else against that of a small one.

    The whole picture counts decoding on both sides; on Atelier's also the plan, the texts (encoded once and then
    remembered), the infotext, the PNG and the blob store.
    """
    loop = BareLoop(studio.model, scene, studio.settle)
    seen: dict[str, np.ndarray] = {}

    def atelier() -> Figures:
        figures, seen["atelier"] = studio.paint(scene)
        return figures

    def bare() -> Figures:
        figures, seen["bare"] = loop.paint()
        return figures

    rounds = alternate({"bare": bare, "atelier": atelier}, effort)
    apart, _ = difference(seen["atelier"], seen["bare"])
    yield figure(f"{name}.step.bare", f"{name}: a step of the bare loop ({scene.size})", "ms",
                 rounds.spread("bare", "step"), scale=1000)  # fmt: skip
    percent, milliseconds = (MOST_PERCENT, None) if full else (None, MOST_MILLISECONDS)
    same = f"pictures of both: largest difference {apart}/255"
    yield over(f"{name}.step", f"{name}: a step of Atelier over the bare loop", rounds.ratio("atelier", "bare", "step"),
               limit=percent, note=same)  # fmt: skip
    yield figure(f"{name}.step.ms", f"{name}: the same in time", "ms", rounds.difference("atelier", "bare", "step"),
                 scale=1000, limit=milliseconds)  # fmt: skip
    yield over(f"{name}.step.cpu", f"{name}: the same in processor time", rounds.ratio("atelier", "bare", "step_cpu"))
    # What is inside of the network is equal on both sides but for the noise of the machine.
    outside = rounds.share("atelier", "bare", "outside", "step")
    yield figure(f"{name}.outside", f"{name}: the same counted outside of the network", "%", outside, scale=100,
                 limit=percent)  # fmt: skip
    yield figure(f"{name}.outside.ms", f"{name}: the same in time", "ms",
                 rounds.difference("atelier", "bare", "outside"), scale=1000, limit=milliseconds)  # fmt: skip
    whole = rounds.ratio("atelier", "bare", "total"), rounds.difference("atelier", "bare", "total")
    yield over(f"{name}.picture", f"{name}: a whole picture over the bare loop", whole[0])
    yield figure(f"{name}.picture.ms", f"{name}: the same in time", "ms", whole[1], scale=1000)
