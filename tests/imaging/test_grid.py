"""Grid shapes and sheets."""

from __future__ import annotations

import pytest
from PIL import Image

from atelier.base.errors import BadImage
from atelier.imaging.grid import grid_shape, make_grid


@pytest.mark.parametrize(
    ("count", "options", "shape"),
    [
        (1, {}, (1, 1)), (2, {}, (1, 2)), (3, {}, (2, 2)), (4, {}, (2, 2)), (6, {}, (2, 3)), (9, {}, (3, 3)),
        (7, {"no_gaps": True}, (1, 7)), (12, {"no_gaps": True}, (3, 4)), (8, {"n_rows": 0, "batch_size": 4}, (4, 2)),
        (5, {"n_rows": 2}, (2, 3)), (3, {"n_rows": 9}, (3, 1)), (0, {}, (0, 0)),
    ],
)  # fmt: skip
def test_shapes(count, options, shape):
    assert grid_shape(count, **options) == shape


def test_every_picture_finds_its_cell():
    colours = [(i * 40, 0, 0) for i in range(5)]
    sheet = make_grid([Image.new("RGB", (4, 3), c) for c in colours], 2, 3)
    assert sheet.size == (12, 6)
    assert [sheet.getpixel((i % 3 * 4 + 1, i // 3 * 3 + 1)) for i in range(5)] == colours
    assert sheet.getpixel((11, 5)) == (0, 0, 0)


def test_too_large_a_sheet_is_refused():
    with pytest.raises(BadImage, match="too large"):
        make_grid([Image.new("RGB", (100, 100))] * 4, 2, 2, limit_mp=0.01)
