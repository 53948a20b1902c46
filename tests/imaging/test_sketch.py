"""Tests of the inpaint sketch: where strokes show, how strongly, and what is masked."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from atelier.imaging.sketch import join_sketch

BOX = (24, 24, 39, 39)


def drawn() -> tuple[Image.Image, Image.Image, Image.Image]:
    original = Image.new("RGB", (64, 64), (0, 0, 200))
    painted, strokes = original.copy(), Image.new("L", (64, 64), 0)
    ImageDraw.Draw(painted).rectangle(BOX, (200, 0, 0))
    ImageDraw.Draw(strokes).rectangle(BOX, 255)
    return original, painted, strokes


def test_without_blur_and_transparency_the_strokes_are_taken_as_they_are():
    original, painted, strokes = drawn()
    picture, mask = join_sketch(original, painted, strokes)
    assert np.array_equal(picture, painted)
    assert np.array_equal(mask, strokes)


def test_transparency_weakens_strokes_and_mask_alike():
    picture, mask = join_sketch(*drawn(), transparency=50)
    assert mask.getpixel((32, 32)) == 127
    assert np.allclose(picture.getpixel((32, 32)), (100, 0, 100), atol=1)
    assert picture.getpixel((5, 5)) == (0, 0, 200)


def test_blur_melts_the_edge_and_leaves_what_is_far_alone():
    picture, mask = join_sketch(*drawn(), blur=4)
    red = np.asarray(picture)[32, :, 0].astype(int)
    assert 0 < red[26] < 200 and red[32] > red[26] > red[21]
    assert picture.getpixel((5, 5)) == (0, 0, 200)
    assert set(np.unique(mask)) == {0, 255}
