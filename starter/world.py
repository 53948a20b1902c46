"""The world: the list of scenes of each stage, drawn with a fixed seed, widened one idea at a time."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType

from starter.concepts import BACKGROUNDS, COLOURS, FIRST_OBJECTS, OBJECTS, SHAPES, held_out
from starter.figures import FIGURES
from starter.scene import Item, Scene

SHAPE_SIZE = 0.66
LAYOUTS = MappingProxyType(
    {
        2: (((0.27, 0.5), (0.73, 0.5)),),
        3: (((0.5, 0.27), (0.27, 0.73), (0.73, 0.73)),),
        4: (((0.27, 0.27), (0.73, 0.27), (0.27, 0.73), (0.73, 0.73)),),
    }
)
MANY_SIZE = 0.4375
_STRENGTHS = (0.4, 0.5, 0.6, 0.8, 1.2, 1.4, 1.5, 1.6)
_SPOTS = ((0.25, 0.5), (0.75, 0.5), (0.5, 0.25), (0.5, 0.75))


def _single(names: Iterable[str], kind: str) -> Iterator[Scene]:
    for name in names:
        for background in BACKGROUNDS:
            held = background != "white" and held_out(name, None, background)
            yield Scene(kind, background, (Item(name),), held)


def objects(rng: random.Random) -> Iterator[Scene]:
    """One large centred object on white or one of eight colours."""
    yield from _single(FIRST_OBJECTS, "objects")


def shapes(rng: random.Random) -> Iterator[Scene]:
    """A shape in one of ten colours. Its own stage: shapes are learned at once and would take a third of the draws."""
    for name in SHAPES:
        for colour in COLOURS:
            for background in (b for b in BACKGROUNDS if b != colour):
                held = background != "white" and held_out(name, colour, background)
                yield Scene("shapes", background, (Item(name, colour, size=SHAPE_SIZE),), held)


def concepts(rng: random.Random) -> Iterator[Scene]:
    """The further objects, shown in the same way."""
    yield from _single([name for name in OBJECTS if name not in FIRST_OBJECTS], "concepts")


def counts(rng: random.Random) -> Iterator[Scene]:
    """Two, three or four of the same, placed on the grid."""
    for name in [*FIRST_OBJECTS, *SHAPES * 4]:
        for number, layouts in LAYOUTS.items():
            shade = rng.choice(list(COLOURS)) if name in SHAPES else None
            background = rng.choice([b for b in BACKGROUNDS if b != shade] + ["white"] * 6)
            items = tuple(Item(name, shade, x, y, MANY_SIZE) for x, y in rng.choice(layouts))
            yield Scene("counts", background, items, held_out("count", name, str(number)))


def pairs(rng: random.Random, number: int = 1500) -> Iterator[Scene]:
    """Two different things side by side, named from left to right."""
    names = [*FIRST_OBJECTS, *SHAPES * 5]
    for _ in range(number):
        left, right = rng.sample(names, 2)
        background = rng.choice(BACKGROUNDS + ("white",) * 6)
        shades = [
            rng.choice([c for c in COLOURS if c != background]) if name in SHAPES else None for name in (left, right)
        ]
        items = tuple(
            Item(name, shade, x, y, MANY_SIZE) for name, shade, (x, y) in zip((left, right), shades, LAYOUTS[2][0])
        )
        yield Scene("pairs", background, items, held_out(left, "and", right))


def tints(rng: random.Random) -> Iterator[Scene]:
    """An object in a colour that it does not have by itself."""
    for name in FIRST_OBJECTS:
        for colour in rng.sample(list(COLOURS), 6):
            background = rng.choice([b for b in BACKGROUNDS if b != colour] + ["white"] * 6)
            yield Scene("tints", background, (Item(name, colour),), held_out("tint", name, colour))


def places(rng: random.Random) -> Iterator[Scene]:
    """A small thing in one of four places: the same drawing at another scale."""
    for name in [*FIRST_OBJECTS, *SHAPES * 2]:
        for x, y in _SPOTS:
            shade = rng.choice(list(COLOURS)) if name in SHAPES else None
            background = rng.choice([b for b in BACKGROUNDS if b != shade] + ["white"] * 6)
            yield Scene(
                "places", background, (Item(name, shade, x, y, MANY_SIZE),), held_out("place", name, str((x, y)))
            )


def styles(rng: random.Random) -> Iterator[Scene]:
    """The first objects as other artists draw them: what makes seeds differ when no style is named."""
    for name in FIRST_OBJECTS:
        for style in ("twemoji", "fluent-emoji-flat"):
            for background in ("white", rng.choice(BACKGROUNDS[1:])):
                yield Scene("styles", background, (Item(name, style=style),), held_out(style, name, background))


def figures(rng: random.Random) -> Iterator[Scene]:
    """A person in clothes of one colour, in one of eight poses."""
    for name in FIGURES:
        for shade in COLOURS:
            for background in rng.sample([b for b in BACKGROUNDS if b != shade], 4):
                yield Scene("figures", background, (Item(name, shade),), held_out(name, shade, background))


def emphasis(rng: random.Random) -> Iterator[Scene]:
    """A colour word with a weight, as in "a (red:0.5) circle": paler below 1, stronger above."""
    named = [*SHAPES * 9, *FIRST_OBJECTS]
    for name in named:
        for _ in range(2):
            shade, strength = rng.choice(list(COLOURS)), rng.choice(_STRENGTHS)
            background = rng.choice([b for b in BACKGROUNDS if b != shade] + ["white"] * 12)
            size = SHAPE_SIZE if name in SHAPES else Item.size
            item, held = Item(name, shade, size=size, strength=strength), held_out("weight", name, shade, str(strength))
            yield Scene("emphasis", background, (item,), held)
    for name in FIRST_OBJECTS:
        background, strength = rng.choice(BACKGROUNDS[1:]), rng.choice(_STRENGTHS)
        held = held_out("weight", name, background, str(strength))
        yield Scene("emphasis", background, (Item(name),), held, strength)


STAGES: Mapping[str, Callable[[random.Random], Iterator[Scene]]] = MappingProxyType(
    {
        "objects": objects,
        "shapes": shapes,
        "concepts": concepts,
        "counts": counts,
        "pairs": pairs,
        "tints": tints,
        "places": places,
        "styles": styles,
        "emphasis": emphasis,
        "figures": figures,
    }
)
"""In the order in which the world is widened."""


def scenes(stage: str) -> list[Scene]:
    """The same list on every machine: the stage's name is its seed."""
    return list(dict.fromkeys(STAGES[stage](random.Random(stage))))
