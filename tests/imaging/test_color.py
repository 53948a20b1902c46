"""Colour correction moves colours towards the reference and keeps brightness."""

from __future__ import annotations

import numpy as np
from PIL import Image

from atelier.imaging.color import _lab, _rgb, match_picture


def gradient(tint) -> Image.Image:
    ramp = np.linspace(0.2, 0.8, 64)[None, :, None] * np.ones((48, 1, 1)) * np.asarray(tint)
    return Image.fromarray((ramp * 255).astype(np.uint8))


def test_lab_round_trip_and_known_values():
    rgb = np.random.default_rng(2).random((10, 10, 3))
    assert np.abs(_rgb(_lab(rgb)) - rgb).max() < 1e-4
    white, red = _lab(np.array([[1.0, 1, 1], [1, 0, 0]]))
    assert np.abs(white - (100, 0, 0)).max() < 0.1
    assert np.abs(red - (53.24, 80.09, 67.20)).max() < 0.3


def test_colours_follow_the_reference():
    grey, warm = gradient((1, 1, 1)), gradient((1.0, 0.7, 0.4))
    result = np.asarray(match_picture(grey, warm)).astype(float)
    assert (result[..., 0] - result[..., 2]).mean() > 30
    luma = np.asarray((0.3, 0.59, 0.11))
    assert np.abs(result @ luma - np.asarray(grey).astype(float) @ luma).mean() < 2


def test_same_picture_stays():
    image = gradient((0.9, 0.8, 0.5))
    assert np.abs(np.asarray(match_picture(image, image)).astype(int) - np.asarray(image)).max() <= 4
