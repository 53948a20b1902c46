"""The sentence of a scene: plain words in a fixed order, with the small freedoms that a person takes."""

from __future__ import annotations

import random
from dataclasses import replace

from starter.concepts import COLOURS, OBJECTS, SHAPES
from starter.figures import FIGURES
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
    first = noun.lstrip("(")
    vowel = first[0] in "aeiou" and not first.startswith(("uni", "ufo"))
    return ("an " if vowel else "a ") + noun


def weighted(word: str, strength: float) -> str:
    return word if strength == 1 else f"({word}:{strength:g})"


def noun_of(item: Item) -> str:
    return f"{weighted(item.colour, item.strength)} {item.name}" if item.colour else item.name


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
        shown = weighted(scene.background, scene.strength)
        text += f", {shown} background" if draw > 0.9 else f" on {article(shown)} background"
    styles = {item.style for item in scene.items}
    if styles != {"noto"} and len(styles) == 1 and (rng is None or rng.random() < 0.75):
        text += f", {STYLES[styles.pop()]} style"
    return text


def vague(scene: Scene, rng: random.Random) -> str:
    """A sentence that leaves something open: the background, the colour of a thing, or all but one word.

    What is left open the seed decides; and a negative prompt is mostly such a single word.
    """
    named = [item.colour for item in scene.items if item.colour]
    uncoloured = replace(scene, items=tuple(replace(item, colour=None) for item in scene.items))
    words = [item.name for item in scene.items] + named
    said = [rng.choice(words)]
    if scene.background != "white":
        said = [_subject(scene, rng), rng.choice([*words, scene.background, f"{scene.background} background"])]
    return rng.choice([*said, caption(uncoloured, rng)] if named else said)


def vocabulary() -> list[str]:
    """Every word that a caption may hold, now or after the world has been widened."""
    nouns = [*OBJECTS, *SHAPES, *FIGURES]
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
