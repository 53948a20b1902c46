"""The resize modes, on pictures whose right answer can be seen."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from atelier.base.errors import BadRequest
from atelier.imaging.resize import fit_within, resize


def stripes() -> Image.Image:
    """90x30: red, green and blue thirds."""
    image = Image.new("RGB", (90, 30), "red")
    image.paste("lime", (30, 0, 60, 30))
    image.paste("blue", (60, 0, 90, 30))
    return image


@pytest.mark.parametrize("mode", [0, 1, 2, 3])
@pytest.mark.parametrize("size", [(30, 30), (64, 17), (1, 50), (91, 31)])
def test_every_mode_gives_the_size(mode, size):
    assert resize(stripes(), *size, mode).size == size


def test_stretch_keeps_everything():
    result = resize(stripes(), 30, 30, 0)
    assert result.getpixel((2, 15)) == (255, 0, 0) and result.getpixel((27, 15)) == (0, 0, 255)


def test_crop_keeps_the_middle():
    result = np.asarray(resize(stripes(), 30, 30, 1))
    assert (result[:, 5:25] == (0, 255, 0)).all()


def test_fill_stretches_the_edges():
    image = Image.new("RGB", (20, 10), "red")
    image.paste("blue", (0, 5, 20, 10))
    result = np.asarray(resize(image, 20, 40, 2))
    assert (result[:15] == (255, 0, 0)).all(axis=2).all()
    assert (result[25:] == (0, 0, 255)).all(axis=2).all()
    sideways = np.asarray(resize(image.transpose(Image.Transpose.ROTATE_90), 41, 20, 2))
    assert (sideways[:, 0] == (255, 0, 0)).all() and (sideways[:, -1] == (0, 0, 255)).all()


def test_an_upscaler_may_stand_in():
    calls = []

    def nearest(image, width, height):
        calls.append((width, height))
        return image.resize((width, height), Image.Resampling.NEAREST)

    resize(stripes(), 60, 60, 1, nearest)
    assert calls == [(180, 60)]


@pytest.mark.parametrize(("size", "mode"), [((0, 5), 0), ((5, 5), 4)])
def test_nonsense_is_refused(size, mode):
    with pytest.raises(BadRequest):
        resize(stripes(), *size, mode)


def test_fit_within_never_enlarges():
    assert fit_within(stripes(), 45).size == (45, 15)
    assert fit_within(stripes(), 500).size == (90, 30)
