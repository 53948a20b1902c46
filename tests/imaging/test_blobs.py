"""The blob store: same bytes same name, nothing but pictures, old ones go."""

from __future__ import annotations

import hashlib
import os
import time

import pytest
from PIL import Image

from atelier.base.errors import BadImage, NotFound, SaveFailed
from atelier.base.refs import ImageRef
from atelier.imaging.blobs import BlobStore
from atelier.imaging.writer import encode


@pytest.fixture
def store(tmp_path):
    return BlobStore(tmp_path / "blobs")


def test_round_trip(store):
    image = Image.new("RGB", (6, 4), "teal")
    ref = store.put_image(image)
    assert (ref.width, ref.height, ref.media) == (6, 4, "image/png")
    assert ref.sha256 == hashlib.sha256(store.bytes(ref)).hexdigest()
    assert store.image(ref).tobytes() == image.tobytes()
    assert store.put_image(image) == ref
    assert store.path(ref.sha256).read_bytes() == store.bytes(ref)


def test_bytes_are_kept_as_they_came(store):
    data = encode(Image.new("RGB", (5, 9)), "jpg")
    ref = store.put_bytes(data)
    assert store.bytes(ref) == data
    assert (ref.width, ref.height, ref.media) == (5, 9, "image/jpeg")


def test_only_pictures_get_in(store):
    with pytest.raises(BadImage) as caught:
        store.put_bytes(b"#!/bin/sh", "mask")
    assert caught.value.field == "mask"
    assert not store.folder.exists()


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "a" * 63, "A" * 64, "0" * 64])
def test_unknown_names_are_not_found(store, name):
    for look in (store.path, store.bytes, store.image):
        with pytest.raises(NotFound):
            look(ImageRef(name))


def test_clean_keeps_young_and_wanted(store):
    refs = [store.put_image(Image.new("RGB", (2, 2), c)) for c in ("red", "lime", "blue")]
    past = time.time() - 3600
    for ref in refs[:2]:
        os.utime(store.path(ref), (past, past))
    assert store.clean({refs[0].sha256}, older_than=60) == 1
    assert [store.has(ref) for ref in refs] == [True, False, True]


def test_use_makes_young_again(store):
    image = Image.new("RGB", (2, 2))
    ref = store.put_image(image)
    os.utime(store.path(ref), (1, 1))
    store.put_image(image)
    assert store.clean(set(), older_than=60) == 0


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SaveFailed):
        BlobStore(tmp_path / "file" / "blobs").put_image(Image.new("RGB", (2, 2)))
