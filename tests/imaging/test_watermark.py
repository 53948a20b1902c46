"""The invisible watermark: read again after PNG and JPEG, unseen, and never found where there is none."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from atelier.imaging.watermark import detect, embed, has_room


def painting(size: int = 192, seed: int = 0) -> Image.Image:
    """Soft colours, some texture, a hard edge, and a part that is white to the end."""
    numbers = np.random.RandomState(seed)
    soft = Image.fromarray(numbers.randint(0, 256, (6, 6, 3), np.uint8)).resize((size, size), Image.Resampling.BICUBIC)
    grain = numbers.normal(0, 6, (size, size, 1))
    image = Image.fromarray(np.clip(np.asarray(soft) + grain, 0, 255).astype(np.uint8))
    ImageDraw.Draw(image).rectangle((size // 2, 0, size, size // 4), fill="white")
    return image


def again(image: Image.Image, format: str, **how) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, format, **how)
    return Image.open(io.BytesIO(buffer.getvalue()))


PICTURES = {
    "painting": painting(), "small": painting(96, 3), "odd size": painting(203, 5).crop((0, 0, 203, 131)),
    "white": Image.new("RGB", (128, 128), "white"), "black": Image.new("RGB", (128, 128), "black"),
}  # fmt: skip


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize(("format", "how"), [("PNG", {}), ("JPEG", {"quality": 95}), ("JPEG", {"quality": 90})])
def test_the_word_outlives_png_and_jpeg(name, format, how):
    assert detect(again(embed(PICTURES[name], "Atelier"), format, **how)) == "Atelier"


def test_the_mark_is_not_seen():
    image = PICTURES["painting"]
    change = np.asarray(embed(image, "Atelier")).astype(int) - np.asarray(image)
    assert 0 < np.abs(change).max() <= 12
    assert 10 * np.log10(255**2 / (change.astype(float) ** 2).mean()) > 44


def test_a_picture_without_a_mark_has_no_word():
    for seed in range(20):
        assert detect(painting(96, seed)) == ""
    noise = np.random.RandomState(1).randint(0, 256, (256, 256, 3), np.uint8)
    assert detect(Image.fromarray(noise)) == "" and detect(Image.new("RGB", (8, 8))) == ""


def test_transparency_stays_and_a_second_mark_takes_the_place_of_the_first():
    image = painting(96)
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    marked = embed(embed(image, "first"), "second")
    assert marked.mode == "RGBA" and detect(marked) == "second"
    assert np.array_equal(np.asarray(marked)[..., 3], np.asarray(image)[..., 3])


def test_a_long_word_is_cut_between_letters():
    assert detect(embed(painting(128), "größerer")) == "größer"
    assert not has_room((80, 80)) and has_room((88, 88))
