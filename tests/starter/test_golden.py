"""The shipped checkpoint through the product's engine: the golden pictures come out, by their look and not by bytes."""

import numpy as np
import pytest
from PIL import Image

from starter.golden import CHECKPOINT, PROMPTS, TOLERANCE, paint
from starter.likeness import distance
from starter.measures import background_rgb, nearest_colour, object_rgb
from tests.starter import GOLDEN

pytestmark = pytest.mark.skipif(
    not (CHECKPOINT.exists() and GOLDEN.exists()), reason="no checkpoint, or none painted yet"
)


@pytest.fixture(scope="module")
def painted(tmp_path_factory):
    return paint(tmp_path_factory.mktemp("golden"))


def golden(name: str) -> np.ndarray:
    return np.asarray(Image.open(GOLDEN / f"{name}.png").convert("RGB"))


@pytest.mark.parametrize("name", PROMPTS)
def test_picture_is_the_golden_one(painted, name):
    assert distance(painted[name], golden(name)) < TOLERANCE


def test_other_prompts_are_farther_than_the_tolerance():
    names = list(PROMPTS)
    assert all(distance(golden(a), golden(b)) > 2 * TOLERANCE for a, b in zip(names, names[1:]))


def test_colours_follow_the_words(painted):
    assert nearest_colour(background_rgb(painted["circle"])) == "blue"
    assert nearest_colour(object_rgb(painted["circle"])) == "red"
    assert nearest_colour(object_rgb(painted["star"])) == "green"
    assert nearest_colour(background_rgb(painted["panda"])) == "yellow"
