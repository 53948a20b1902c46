"""Masks: recorded crop regions, the blur against its formula, fills and overlays."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atelier.imaging.masks import (
    apply_overlay,
    crop_region,
    cut_out,
    expand_box,
    fill_masked,
    gaussian_blur,
    latent_mask,
    mask_box,
    mask_composite,
    pad_box,
    prepare_mask,
    whole_picture_mask,
)

CASES = json.loads((Path(__file__).parents[1] / "contract" / "sampling_cases.json").read_text("utf-8"))["crop_regions"]


def boxed(size, box) -> Image.Image:
    mask = Image.new("L", size)
    mask.paste(255, box)
    return mask


@pytest.mark.parametrize("case", CASES, ids=lambda c: str(c["expanded"]))
def test_recorded_crop_regions(case):
    size, target = tuple(case["image"]), tuple(case["processing"])
    mask = boxed(size, tuple(case["mask_box"]))
    crop = pad_box(mask_box(mask), case["padding"], size)
    assert list(crop) == case["crop"]
    assert list(expand_box(crop, target, size)) == case["expanded"]
    assert list(crop_region(mask, case["padding"], target)) == case["expanded"]


def test_blank_mask_has_no_region():
    assert crop_region(Image.new("L", (64, 64)), 32, (512, 512)) is None


def test_mask_comes_from_alpha_only_where_something_is_transparent():
    image = Image.new("RGBA", (3, 1), (255, 255, 255, 255))
    assert np.asarray(prepare_mask(image)).tolist() == [[255, 255, 255]]
    image.putpixel((0, 0), (255, 255, 255, 128))
    image.putpixel((1, 0), (0, 0, 0, 129))
    assert np.asarray(prepare_mask(image)).tolist() == [[0, 255, 255]]
    assert np.asarray(prepare_mask(image, hard_alpha=False)).tolist() == [[128, 129, 255]]
    assert np.asarray(prepare_mask(image, invert=True)).tolist() == [[255, 0, 0]]


def formula(values: np.ndarray, sigma: float) -> np.ndarray:
    """Across only, straight from the contract."""
    half = int(2.5 * sigma + 0.5)
    taps = [np.exp(-(i**2) / (2 * sigma**2)) for i in range(-half, half + 1)]
    padded = np.pad(values.astype(float), ((0, 0), (half, half)), mode="reflect")
    return sum(t * padded[:, i : i + values.shape[1]] for i, t in enumerate(taps)) / sum(taps)


@pytest.mark.parametrize("sigma", [1, 4, 7.5, 12, 64])
def test_blur_is_the_gaussian_of_the_contract(sigma):
    values = np.asarray(boxed((90, 70), (20, 10, 50, 60)))
    across = np.asarray(gaussian_blur(Image.fromarray(values), sigma, 0)).astype(float)
    assert np.abs(across - formula(values, sigma)).max() <= 3
    down = np.asarray(gaussian_blur(Image.fromarray(values), 0, sigma)).astype(float)
    assert np.abs(down - formula(values.T, sigma).T).max() <= 3


@pytest.mark.parametrize(
    ("sigma", "recorded"),
    [
        (1, "a14f430a1ee99bbc"),
        (2.5, "e08a41651b8fd1f4"),
        (4, "25eb11c817b1fa37"),
        (9, "cafb6c28492fe56a"),
        (64, "ecc172ae22d6598e"),
    ],
)
def test_blur_gives_the_very_bytes_of_opencv(sigma, recorded):
    """Recorded from OpenCV 5.0.0: GaussianBlur across, then down."""
    y, x = np.mgrid[0:60, 0:80]
    mask = Image.fromarray((((x * 7 + y * 13) ^ (x * y)) % 256).astype(np.uint8))
    assert hashlib.sha256(gaussian_blur(mask, sigma, sigma).tobytes()).hexdigest()[:16] == recorded


def test_blur_zero_changes_nothing():
    mask = boxed((20, 20), (3, 4, 9, 9))
    assert gaussian_blur(mask, 0, 0).tobytes() == mask.tobytes()


def test_fill_takes_colours_from_around():
    image = Image.new("RGB", (128, 128), (200, 100, 50))
    image.paste((0, 0, 255), (48, 48, 80, 80))
    filled = np.asarray(fill_masked(image, boxed((128, 128), (44, 44, 84, 84)))).astype(int)
    assert np.abs(filled - (200, 100, 50)).max() <= 6


def test_overlay_keeps_what_is_outside_exactly():
    rng = np.random.default_rng(3)
    original = Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    mask = boxed((64, 64), (16, 16, 48, 48))
    result = np.asarray(apply_overlay(Image.new("RGB", (64, 64), "lime"), cut_out(original, mask)))
    outside = np.asarray(mask) == 0
    assert (result[outside] == np.asarray(original)[outside]).all()
    assert (result[~outside] == (0, 255, 0)).all()


def test_overlay_with_box_puts_back_and_scales():
    original = Image.new("RGB", (100, 80), "red")
    mask = boxed((100, 80), (20, 20, 60, 60))
    result = apply_overlay(Image.new("RGB", (512, 512), "blue"), cut_out(original, mask), (10, 10, 70, 70))
    assert result.size == (100, 80)
    assert result.getpixel((40, 40)) == (0, 0, 255) and result.getpixel((12, 12)) == (255, 0, 0)


def test_soft_edge_is_a_mixture():
    overlay = cut_out(Image.new("RGB", (1, 1), (200, 0, 0)), Image.new("L", (1, 1), 128))
    red, _, blue = apply_overlay(Image.new("RGB", (1, 1), (0, 0, 200)), overlay).getpixel((0, 0))
    assert abs(red - 100) <= 2 and abs(blue - 100) <= 2


def test_whole_picture_mask_doubles():
    mask = Image.fromarray(np.array([[0, 60, 127, 128, 255]], dtype=np.uint8))
    assert np.asarray(whole_picture_mask(mask)).tolist() == [[0, 120, 254, 255, 255]]


def test_mask_composite_is_transparent_outside():
    composite = mask_composite(Image.new("RGB", (8, 8), "red"), boxed((8, 8), (0, 0, 4, 8)))
    assert composite.getpixel((1, 1)) == (255, 0, 0, 255) and composite.getpixel((6, 1))[3] == 0


def test_latent_mask_rounds():
    mask = boxed((64, 64), (0, 0, 29, 64))
    hard = latent_mask(mask, 8, 8)
    assert hard.shape == (8, 8) and hard.dtype == np.float32
    assert set(np.unique(hard)) == {0.0, 1.0} and (hard[:, :3] == 1).all() and (hard[:, 4:] == 0).all()
    soft = latent_mask(mask, 8, 8, rounded=False)
    assert 0 < soft[0, 3] < 1
