"""Two pictures, pixel by pixel."""

from __future__ import annotations

import numpy as np
from PIL import Image

from atelier.imaging.difference import pixel_difference


def test_difference():
    one = Image.new("RGB", (4, 2), (10, 10, 10))
    other = one.copy()
    other.putpixel((3, 1), (10, 40, 0))
    found = pixel_difference(one, other)
    assert (found.largest, found.share) == (30, 1 / 8) and abs(found.mean - 40 / 24) < 1e-9
    shown = np.asarray(found.image)
    assert shown[1, 3] == 255 and shown.sum() == 255
    same = pixel_difference(one, one.convert("RGBA"))
    assert (same.largest, same.mean, same.share) == (0, 0.0, 0.0)
    assert pixel_difference(one, Image.new("RGB", (2, 4))) is None
