"""Saving: the right bytes, whole or not at all."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest
from PIL import Image

from atelier.base.errors import BadRequest, SaveFailed
from atelier.imaging.decode import decode
from atelier.imaging.metadata import read_metadata
from atelier.imaging.writer import MEDIA, encode, save_picture, save_side_text, save_small_copy

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8))


@pytest.mark.parametrize("format", sorted(MEDIA))
def test_each_format_is_what_it_says(format):
    decoded = decode(encode(PICTURE, format, "text"))
    assert decoded.media == MEDIA[format]
    assert decoded.image.size == (48, 32)


def test_lossless_formats_are_lossless():
    for data in (encode(PICTURE, "png"), encode(PICTURE, "webp", lossless=True)):
        assert decode(data).image.tobytes() == PICTURE.tobytes()


def test_what_a_picture_brought_along_is_not_written():
    image = PICTURE.copy()
    image.info.update(comment=b"old", parameters="old", exif=b"Exif\0\0old")
    for format in ("png", "jpg", "webp", "avif", "gif"):
        assert b"old" not in encode(image, format)
    assert image.info["comment"] == b"old"


def test_fast_png_is_the_same_picture():
    assert decode(encode(PICTURE, "png", fast=True)).image.tobytes() == PICTURE.tobytes()


def test_quality_matters():
    for format in ("jpg", "webp", "avif"):
        assert len(encode(PICTURE, format, quality=95)) > len(encode(PICTURE, format, quality=20))


def test_transparency_stays_in_png_only():
    image = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert decode(encode(image, "png")).image.getpixel((0, 0)) == (255, 0, 0, 0)
    for format in ("jpg", "webp", "avif"):
        assert min(decode(encode(image, format)).image.convert("RGB").getpixel((1, 1))) > 245


def test_saved_under_its_name_with_infotext(tmp_path):
    path = save_picture(PICTURE, tmp_path / "a" / "2024", "00001-5", "webp", "p\nSteps: 1", lossless=True)
    assert path == tmp_path / "a" / "2024" / "00001-5.webp"
    assert read_metadata(path.read_bytes()).infotext == "p\nSteps: 1"
    assert [p.name for p in path.parent.iterdir()] == ["00001-5.webp"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_full_or_read_only_leaves_nothing(tmp_path, monkeypatch, code):
    def fail(*args):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(SaveFailed) as caught:
        save_picture(PICTURE, tmp_path, "x")
    assert caught.value.remedy and str(tmp_path) in caught.value.message
    assert list(tmp_path.iterdir()) == []


def test_folder_that_is_a_file(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(SaveFailed):
        save_picture(PICTURE, tmp_path / "out", "x")


def test_unknown_format_and_impossible_size():
    with pytest.raises(BadRequest) as caught:
        encode(PICTURE, "xyz")
    assert caught.value.field == "format"
    with pytest.raises(SaveFailed, match="does not fit"):
        encode(Image.new("L", (16384, 1)), "webp")


def test_side_text(tmp_path):
    path = save_picture(PICTURE, tmp_path, "00001-1.5", "png", "p")
    assert save_side_text(path, "päper").read_text("utf-8") == "päper"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["00001-1.5.png", "00001-1.5.txt"]


def test_small_copy_only_for_large_files(tmp_path):
    path = save_picture(PICTURE, tmp_path, "a")
    assert save_small_copy(PICTURE, path) is None
    copy = save_small_copy(PICTURE, path, "p", side=24)
    assert copy == tmp_path / "a.jpg" and decode(copy.read_bytes()).image.size == (24, 16)
    assert save_small_copy(PICTURE, path, limit_mb=0.0001) == tmp_path / "a.jpg"
