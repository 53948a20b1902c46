"""Sheets with words, tiles and shaped noise."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from atelier.base.errors import BadImage
from atelier.imaging.legend import Label, LegendStyle, sheet
from atelier.imaging.shaped_noise import shaped_noise
from atelier.imaging.tiles import join_tiles, tile_corners


def cells(count: int) -> list[Image.Image]:
    return [Image.new("RGB", (40, 30), (k, 0, 0)) for k in range(count)]


def labels(*texts: str) -> list[list[Label]]:
    return [[Label(text)] for text in texts]


def test_a_sheet_without_words_is_only_the_pictures():
    made = sheet(cells(4), labels("", ""), labels("", ""), LegendStyle(margin=2))
    assert made.size == (82, 62) and made.getpixel((42, 32)) == (3, 0, 0) and made.getpixel((40, 0)) == (255, 255, 255)


def test_words_get_room_and_do_not_touch_the_pictures():
    long = "a very long value that has to be broken into several lines to fit above its column"
    made = sheet(cells(2), labels(long, "b"), labels("Steps: 20"))
    left, top = made.width - 80, made.height - 30
    assert left > 0 and top > 60
    assert made.getpixel((left, top)) == (0, 0, 0) and made.getpixel((left + 40, top)) == (1, 0, 0)
    above = np.asarray(made.crop((left + 40, 0, left + 80, top)).convert("L"))
    assert above.min() < 100


def test_words_of_other_scripts_and_inactive_ones():
    made = sheet(cells(1), [[Label("猫"), Label("кот", False)]], labels(""))
    assert made.height > 30


def test_a_sheet_that_is_too_large_is_refused():
    with pytest.raises(BadImage, match="4000x3000"):
        sheet(
            [None, Image.new("RGB", (40, 30))] * 5000, labels(*[""] * 100), labels(*[""] * 100), LegendStyle(limit_mp=1)
        )


@pytest.mark.parametrize(("size", "tile", "overlap"), [
    ((64, 64), (64, 64), 16), ((102, 102), (64, 64), 16), ((65, 300), (64, 64), 32), ((512, 100), (512, 64), 63),
])  # fmt: skip
def test_tiles_cover_a_picture_and_join_to_it(size, tile, overlap):
    noise = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    corners = tile_corners(size, tile, overlap)
    tiles = [((x, y), image.crop((x, y, x + tile[0], y + tile[1]))) for x, y in corners]
    assert all(0 <= x <= max(0, size[0] - tile[0]) and 0 <= y <= max(0, size[1] - tile[1]) for x, y in corners)
    for own, other in zip(sorted({x for x, _ in corners}), sorted({x for x, _ in corners})[1:]):
        assert own + tile[0] - other >= overlap
    assert np.array_equal(np.asarray(join_tiles(size, tiles, overlap)), noise)


def test_shaped_noise_has_the_colours_and_the_grain_of_the_picture():
    rows = np.linspace(40, 200, 64)
    smooth = np.repeat(np.repeat(rows[:, None, None], 64, 1), 3, 2)
    smooth[..., 2] = 30
    known = Image.fromarray(smooth.astype(np.uint8))
    made = np.asarray(shaped_noise(known, (32, 64), seed=3), dtype=float)
    assert made.shape == (64, 32, 3) and np.ptp(made[..., 2]) == 0 and made[..., 0].mean() == pytest.approx(120, abs=3)
    white = np.asarray(shaped_noise(known, (32, 64), falloff=0, seed=3), dtype=float)
    grain = lambda pixels: np.abs(np.diff(pixels[..., 0], axis=1)).mean()  # noqa: E731
    assert grain(made) < grain(white) / 2
    again = np.asarray(shaped_noise(known, (32, 64), seed=3), dtype=float)
    assert np.array_equal(again, made)
