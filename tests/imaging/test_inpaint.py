"""From picture and mask to what the model sees, and back."""

from __future__ import annotations

import numpy as np
from PIL import Image

from atelier.imaging.inpaint import InpaintOptions, frame_inpaint


def scene() -> tuple[Image.Image, Image.Image]:
    values = np.random.default_rng(5).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    mask = Image.new("L", (128, 96))
    mask.paste(255, (40, 30, 70, 50))
    return Image.fromarray(values), mask


def test_only_masked_works_on_the_region_and_comes_back():
    image, mask = scene()
    frame = frame_inpaint(image, mask, InpaintOptions(64, 64, blur_x=0, blur_y=0, padding=8))
    assert frame.box == (32, 17, 78, 63)
    assert frame.image.size == frame.mask.size == (64, 64)
    result = np.asarray(frame.finish(Image.new("RGB", (64, 64), "lime")))
    outside = np.asarray(mask) == 0
    assert (result[outside] == np.asarray(image)[outside]).all()
    assert (result[~outside] == (0, 255, 0)).all()


def test_whole_picture():
    image, mask = scene()
    frame = frame_inpaint(image, mask, InpaintOptions(128, 96, blur_x=0, blur_y=0, only_masked=False))
    assert frame.box is None and frame.image.tobytes() == image.tobytes()
    result = np.asarray(frame.finish(Image.new("RGB", (128, 96), "lime")))
    assert (result[np.asarray(mask) == 0] == np.asarray(image)[np.asarray(mask) == 0]).all()


def test_invert_repaints_the_rest():
    image, mask = scene()
    frame = frame_inpaint(image, mask, InpaintOptions(128, 96, invert=True, blur_x=0, blur_y=0, only_masked=False))
    assert frame.finish(Image.new("RGB", (128, 96), "lime")).getpixel((0, 0)) == (0, 255, 0)


def test_blank_mask_means_plain_img2img():
    image, _ = scene()
    frame = frame_inpaint(image, Image.new("L", image.size), InpaintOptions(64, 64))
    assert frame.mask is None and frame.image.size == (64, 64)
    done = Image.new("RGB", (64, 64), "red")
    assert frame.finish(done) is done


def test_fill_changes_only_what_is_masked_and_original_changes_nothing():
    image, mask = scene()
    options = {"width": 128, "height": 96, "blur_x": 0, "blur_y": 0, "only_masked": False}
    kept = frame_inpaint(image, mask, InpaintOptions(**options, fill=1)).image
    filled = frame_inpaint(image, mask, InpaintOptions(**options, fill=0)).image
    assert kept.tobytes() == image.tobytes()
    outside = np.asarray(mask) == 0
    assert (np.asarray(filled)[outside] == np.asarray(image)[outside]).all()
    assert (np.asarray(filled)[~outside] != np.asarray(image)[~outside]).any()


def test_latent_upscale_leaves_pixels_alone():
    image, mask = scene()
    frame = frame_inpaint(image, mask, InpaintOptions(256, 192, resize_mode=3, only_masked=False, fill=0))
    assert frame.image.size == (128, 96) and frame.mask.size == (256, 192) == frame.overlay.size


def test_mask_of_another_size_and_transparent_source():
    image = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    mask = Image.new("L", (32, 32), 255)
    frame = frame_inpaint(image, mask, InpaintOptions(64, 64, only_masked=False))
    assert frame.image.getpixel((0, 0)) == (255, 255, 255)
    assert frame.mask.size == (64, 64)
