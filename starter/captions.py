"""The sentence of a scene: plain words in a fixed order, with the small freedoms that a person takes."""

from __future__ import annotations

import random

from starter.concepts import COLOURS, OBJECTS, SHAPES
from starter.scene import Item, Scene
from starter.sprites import STYLES

NUMBERS = ("", "one", "two", "three", "four")
PLACES = ("on the left", "on the right", "at the top", "at the bottom")
_IRREGULAR = (
    ("mouse", "mice"),
    ("sheep", "sheep"),
    ("fish", "fish"),
    ("leaf", "leaves"),
    ("scissors", "scissors"),
    ("glasses", "glasses"),
)


def plural(noun: str) -> str:
    head, _, last = noun.rpartition(" ")
    for one, many in _IRREGULAR:
        if last == one:
            return f"{head} {many}".strip()
    if noun in ("french fries", "grapes", "cherries", "jeans", "pancakes", "headphones", "bacon", "sushi", "popcorn"):
        return noun
    if last.endswith("y") and last[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + ("es" if last.endswith(("s", "x", "ch", "sh")) else "s")


def article(noun: str) -> str:
    vowel = noun[0] in "aeiou" and not noun.startswith(("uni", "ufo"))
    return ("an " if vowel else "a ") + noun


def noun_of(item: Item) -> str:
    return f"{item.colour} {item.name}" if item.colour else item.name


def _place(item: Item) -> str:
    if item.x != 0.5:
        return PLACES[0] if item.x < 0.5 else PLACES[1]
    return PLACES[2] if item.y < 0.5 else PLACES[3]


def _subject(scene: Scene, rng: random.Random | None) -> str:
    first = scene.items[0]
    if len(scene.items) > 1 and all(item.name == first.name and item.colour == first.colour for item in scene.items):
        return f"{NUMBERS[len(scene.items)]} {plural(noun_of(first))}"
    if len(scene.items) > 1:
        return " and ".join(article(noun_of(item)) for item in scene.items)
    bare = rng is not None and rng.random() < 0.2
    text = noun_of(first) if bare else article(noun_of(first))
    if scene.kind == "places":
        text = ("a small " + noun_of(first)) + " " + _place(first)
    return text


def caption(scene: Scene, rng: random.Random | None = None) -> str:
    """The sentence; with `rng`, one of its variants (article left out, white background named, words turned round)."""
    text = _subject(scene, rng)
    draw = rng.random() if rng is not None else 0.0
    if scene.background == "white":
        text += " on a white background" if draw > 0.8 else ""
    else:
        text += f", {scene.background} background" if draw > 0.9 else f" on {article(scene.background)} background"
    styles = {item.style for item in scene.items}
    if styles != {"noto"} and len(styles) == 1 and (rng is None or rng.random() < 0.5):
        text += f", {STYLES[styles.pop()]} style"
    return text


def vocabulary() -> list[str]:
    """Every word that a caption may hold, now or after the world has been widened."""
    nouns = [*OBJECTS, *SHAPES]
    words = [
        *nouns,
        *map(plural, nouns),
        *COLOURS,
        *NUMBERS[1:],
        *PLACES,
        "white",
        "cyan",
        "a",
        "an",
        "and",
        "on a background",
        ",",
    ]
    return words + [
        "small",
        "large",
        "style",
        "noto classic",
        "twemoji",
        "fluent",
        "fxemoji",
        "picture of",
        "emoji of",
        "icon of",
        "with",
    ]
