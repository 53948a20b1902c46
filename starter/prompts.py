"""The fixed list of prompts by which the starter is measured, each with what its picture must show."""

from __future__ import annotations

import random
from dataclasses import dataclass

from starter.captions import article, caption
from starter.concepts import OBJECTS
from starter.world import scenes

GROUPS = ("object", "shape colour", "object on background", "held-out", "counts", "pairs", "tints")


@dataclass(frozen=True)
class Prompt:
    """`objects`: what must be seen; `colour`, `background`: the colour words that must hold, if the text names any."""

    group: str
    text: str
    seed: int
    objects: tuple[str, ...]
    colour: str | None = None
    background: str | None = None
    count: int = 1


def _of_stage(group: str, stage: str, held: bool | None, number: int, seed: int) -> list[Prompt]:
    rows = [s for s in scenes(stage) if held is None or s.held == held]
    if group == "object on background":
        rows = [s for s in rows if s.background != "white"]
    out = []
    for i, scene in enumerate(random.Random(group).sample(rows, min(number, len(rows)))):
        names = tuple(dict.fromkeys(item.name for item in scene.items))
        same = len(names) == 1
        out.append(
            Prompt(
                group,
                caption(scene),
                seed + i,
                names,
                scene.items[0].colour if same else None,
                scene.background if scene.background != "white" else None,
                len(scene.items) if same else 1,
            )
        )
    return out


def prompt_list() -> list[Prompt]:
    """320 prompts; the same on every machine."""
    singles = [Prompt("object", article(name), 1000 + i, (name,)) for i, name in enumerate(list(OBJECTS)[:200])]
    return [
        *singles,
        *_of_stage("shape colour", "shapes", False, 20, 2000),
        *_of_stage("object on background", "objects", False, 20, 3000),
        *_of_stage("held-out", "objects", True, 30, 4000),
        *_of_stage("held-out", "shapes", True, 10, 4100),
        *_of_stage("counts", "counts", None, 20, 5000),
        *_of_stage("pairs", "pairs", None, 10, 6000),
        *_of_stage("tints", "tints", None, 10, 7000),
    ]


def subset(every: int, objects: int = 122) -> list[Prompt]:
    """Every n-th prompt, single objects only up to the `objects` most common ones."""
    known = set(list(OBJECTS)[:objects])
    rows = [p for p in prompt_list() if p.group != "object" or p.objects[0] in known]
    return rows[::every]
