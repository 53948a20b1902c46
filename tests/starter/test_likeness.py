"""The distance of pictures: nothing for the same, little for noise in the last digits, much for another thing."""

import numpy as np
import pytest

from starter.likeness import distance
from starter.scene import Composer, Item, Scene


def picture(shape: str, colour: str = "red", background: str = "blue") -> np.ndarray:
    return Composer(None).draw(Scene("shapes", background, (Item(shape, colour, size=0.66),)))


def test_order_of_distances():
    one = picture("circle")
    noisy = (one + np.random.default_rng(0).normal(0, 2, one.shape)).clip(0, 255).astype(np.uint8)
    moved = np.roll(one, 4, 1)
    assert distance(one, one) < 1e-6
    assert 0 < distance(one, noisy) < distance(one, picture("star"))
    assert distance(one, moved) < distance(one, picture("star")) < distance(one, picture("star", "green", "yellow"))
    assert distance(one, picture("circle", "red", "white")) > 0.1


def test_sizes_must_agree():
    with pytest.raises(ValueError, match="compared"):
        distance(picture("circle"), picture("circle")[:128])
