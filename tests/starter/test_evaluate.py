"""The measuring: prompts, marks, tables, and the whole on the checkpoint that ships, over a few prompts."""

from pathlib import Path

import numpy as np
import pytest
import torch

from starter.card import GOALS, SOURCES, card, derived, notice
from starter.classifier import CLASSES, Classifier
from starter.evaluate import mark
from starter.measures import background_rgb, nearest_colour, object_rgb
from starter.prompts import GROUPS, Prompt, prompt_list, subset
from starter.sampling import Painter
from starter.scene import Composer, Item, Scene
from starter.world import LAYOUTS, MANY_SIZE

SHIPPED = Path(__file__).parents[2] / "models/Stable-diffusion/atelier-starter.safetensors"


def judge_of(*names: str):
    """A judge that names these, whatever it is shown."""
    return lambda pictures: torch.nn.functional.one_hot(
        torch.tensor([CLASSES.index(n) for n in names]), len(CLASSES)
    ).float()


def test_prompts_are_fixed_and_cover_every_group():
    rows = prompt_list()
    assert rows == prompt_list() and len(rows) >= 300
    assert {p.group for p in rows} == set(GROUPS)
    assert len({(p.text, p.seed) for p in rows}) == len(rows)
    assert len(subset(5)) < len(rows) / 5


def test_marks_of_a_right_and_a_wrong_picture():
    picture = Composer(None).draw(Scene("shapes", "blue", (Item("circle", "red", size=0.66),)))
    asked = Prompt("shape colour", "a red circle on a blue background", 1, ("circle",), "red", "blue")
    assert mark(picture, asked, judge_of("circle")) == {
        "object": True,
        "top5": True,
        "background": True,
        "colour": True,
    }
    other = Prompt("shape colour", "a green star", 1, ("star",), "green", "white")
    marks = mark(picture, other, judge_of("circle"))
    assert not marks["object"] and not marks["background"] and not marks["colour"]


def test_both_of_a_pair_must_be_right():
    items = tuple(Item(n, "red", x, y, MANY_SIZE) for n, (x, y) in zip(("star", "ring"), LAYOUTS[2][0]))
    picture = Composer(None).draw(Scene("pairs", "white", items))
    asked = Prompt("pairs", "a red star and a red ring", 1, ("star", "ring"))
    assert mark(picture, asked, judge_of("star", "ring"))["object"]
    assert not mark(picture, asked, judge_of("star", "star"))["object"]


def test_counts_are_marked():
    items = tuple(Item("star", "red", x, y, MANY_SIZE) for x, y in LAYOUTS[3][0])
    picture = Composer(None).draw(Scene("counts", "white", items))
    asked = Prompt("counts", "three red stars", 1, ("star",), "red", count=3)
    assert mark(picture, asked, judge_of("star", "star", "star"))["count"]


def test_judge_takes_pictures_of_any_size():
    scores = Classifier().judge(np.zeros((2, 256, 256, 3), np.uint8))
    assert scores.shape == (2, len(CLASSES))


def test_card_names_every_source_and_every_goal():
    groups = {name: {"n": 3, "object": 0.5, "background": 1.0, "colour": 1.0, "count": 0.0} for name in GOALS}
    page = card(
        {"checkpoint": "x", "cfg": 4.0, "prompts": groups, "reconstruction": {"n": 2, "objects": 30.0}}, "Seen."
    )
    assert all(package in page and licence in page for package, _, _, licence, _ in SOURCES)
    assert "object 0.80" in page and "Seen." in page
    assert "CC-BY" in notice()


def test_card_tells_what_was_made_from_the_starter(tmp_path):
    (tmp_path / "siblings.json").write_text('{"inpainting": {"kept, sibling": {"object": 0.75}}, "depth": {"n": 16}}')
    (tmp_path / "lora.json").write_text('{"thing": "raccoon", "distance before": 40.25, "distance after": 12.5}')
    assert derived(tmp_path).splitlines() == [
        "- inpainting kept, sibling: object 0.750",
        "- depth: n 16",
        "- lora (raccoon): thing raccoon, distance before 40.250, distance after 12.500",
    ]


@pytest.mark.skipif(not SHIPPED.exists(), reason="the checkpoint is not in this checkout")
def test_shipped_checkpoint_paints_colour_and_background():
    painter = Painter(SHIPPED)
    prompts = ["a red circle on a blue background", "a green square on a white background"]
    pictures = painter.paint(prompts, [3, 4], steps=8)
    assert pictures.shape[1:] == (painter.latent_side * 8, painter.latent_side * 8, 3)
    assert [nearest_colour(background_rgb(p)) for p in pictures] == ["blue", "white"]
    assert [nearest_colour(object_rgb(p)) for p in pictures] == ["red", "green"]
