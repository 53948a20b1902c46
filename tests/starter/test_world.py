"""Scenes of the stages and their captions."""

import random

import pytest

from starter.captions import article, caption, plural, vocabulary
from starter.scene import Item, Scene
from starter.world import STAGES, scenes


@pytest.mark.parametrize("stage", STAGES)
def test_stage_is_repeatable_and_holds_some_back(stage):
    rows = scenes(stage)
    assert rows == scenes(stage)
    assert 0.04 < sum(scene.held for scene in rows) / len(rows) < 0.16
    assert Scene.from_json(rows[0].to_json()) == rows[0]


def test_no_held_combination_of_object_and_background_is_trained_in_the_same_stage():
    rows = scenes("objects")
    held = {(s.items[0].name, s.items[0].colour, s.background) for s in rows if s.held}
    assert held and not held & {(s.items[0].name, s.items[0].colour, s.background) for s in rows if not s.held}


def test_captions_say_what_is_there():
    two = tuple(Item("mouse", None, x, 0.5, 0.4) for x in (0.27, 0.73))
    assert caption(Scene("counts", "blue", two)) == "two mice on a blue background"
    assert caption(Scene("objects", "orange", (Item("circle", "red"),))) == "a red circle on an orange background"
    assert caption(Scene("pairs", "white", (Item("owl", x=0.27), Item("cat", x=0.73)))) == "an owl and a cat"
    assert caption(Scene("places", "white", (Item("cat", None, 0.25, 0.5, 0.4),))) == "a small cat on the left"


def test_words_are_formed_properly():
    assert [plural(word) for word in ("fox", "cherries", "puppy", "key", "maple leaf")] == [
        "foxes",
        "cherries",
        "puppies",
        "keys",
        "maple leaves",
    ]
    assert (article("unicorn"), article("egg"), article("ufo")) == ("a unicorn", "an egg", "a ufo")


def test_every_word_of_every_caption_is_in_the_vocabulary():
    known = {word for phrase in vocabulary() for word in phrase.replace(",", " ").split()}
    rng = random.Random(0)
    for stage in STAGES:
        for scene in scenes(stage)[::7]:
            assert set(caption(scene, rng).replace(",", " ").split()) <= known
