"""Scenes of the stages and their captions."""

import random

import numpy as np
import pytest
import torch

from starter.captions import article, caption, plural, vague, vocabulary
from starter.concepts import colour, shade
from starter.measures import colourfulness
from starter.scene import Item, Scene
from starter.tokens import Tokens, used_tokens
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
    known, tokens, rng = used_tokens(vocabulary()), Tokens(), random.Random(0)
    for stage in STAGES:
        words = [say(scene, rng) for scene in scenes(stage)[::7] for say in (caption, vague)]
        assert torch.isin(tokens(words), known).all(), stage


def test_a_vague_sentence_leaves_something_open():
    rng = random.Random(0)
    scene = Scene("shapes", "blue", (Item("circle", "red"),))
    said = {vague(scene, rng) for _ in range(200)}
    assert {"a red circle", "a circle on a blue background", "red", "circle", "blue", "blue background"} <= said
    assert not [sentence for sentence in said if "red circle" in sentence and "blue" in sentence]


def test_a_weight_moves_the_colour_and_stands_in_the_sentence():
    scene = Scene("emphasis", "white", (Item("circle", "red", strength=0.5),))
    assert caption(scene) == "a (red:0.5) circle"
    pale, plain, strong = (shade("red", weight) for weight in (0.5, 1.0, 1.5))
    assert colourfulness(np.array(pale)) < colourfulness(np.array(plain)) < colourfulness(np.array(strong))
    assert plain == colour("red")


def test_tokens_carry_the_weight_of_their_brackets():
    weights = Tokens().weights(["a (red:0.5) circle", "a red circle"])
    assert weights[0, :5].tolist() == [1, 1, 0.5, 1, 1]
    assert (weights[0, 5:] == 1).all() and (weights[1] == 1).all()
    assert torch.equal(*Tokens()(["a (red:0.5) circle", "a red circle"]))
