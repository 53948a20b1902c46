"""Infotext survives every format; other tools' ways of keeping it are understood."""

from __future__ import annotations

import gzip
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from atelier.imaging.decode import open_image
from atelier.imaging.metadata import _exif, decode_comment, exif_block, read_metadata
from atelier.imaging.writer import encode

PICTURE = Image.new("RGB", (8, 8), "teal")
PARAMETERS = "Steps: 20, Sampler: Euler a, CFG scale: 7.0, Seed: 1, Size: 512x512"
FORMATS = ["png", "jpg", "webp", "avif", "gif"]
prompts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=300)


@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=40, deadline=None)
@given(prompt=prompts)
def test_any_text_survives(format, prompt):
    text = f"{prompt}\n{PARAMETERS}"
    data = encode(PICTURE, format, text)
    assert read_metadata(data).infotext == text
    assert read_metadata(open_image(data)).infotext == text


@pytest.mark.parametrize("format", FORMATS)
def test_what_cannot_be_stored_is_replaced(format):
    data = encode(PICTURE, format, f"a\0b\ud800c\n{PARAMETERS}")
    assert read_metadata(data).infotext == f"ab?c\n{PARAMETERS}"


@pytest.mark.parametrize("format", FORMATS)
def test_no_infotext_leaves_none(format):
    assert read_metadata(encode(PICTURE, format)).infotext == ""


def test_png_chunk_kinds():
    assert b"tEXtparameters\0caf\xe9" in encode(PICTURE, "png", "caf\xe9")
    assert b"iTXtparameters\0" in encode(PICTURE, "png", "\u732b")


def test_exif_is_what_strict_readers_want():
    block = exif_block("Hi")
    assert block[:6] == b"Exif\0\0"
    assert block.endswith(b"UNICODE\0\0H\0i")
    assert b"\x92\x86\x00\x07\x00\x00\x00\x0c" in block  # tag UserComment, type UNDEFINED, 12 bytes
    assert b"UNICODE\0\0H\0i" in encode(PICTURE, "jpg", "Hi")


def test_named_texts_of_png_become_items():
    data = encode(PICTURE, "png", {"parameters": "p", "postprocessing": "Postprocess upscale by: 2"})
    found = read_metadata(data)
    assert found.infotext == "p"
    assert found.items == {"postprocessing": "Postprocess upscale by: 2"}


def test_exif_wins_over_the_text_entry():
    out = io.BytesIO()
    chunks = PngInfo()
    chunks.add_text("parameters", "from text")
    PICTURE.save(out, "PNG", pnginfo=chunks, exif=exif_block("from exif"))
    assert read_metadata(out.getvalue()).infotext == "from exif"


@pytest.mark.parametrize(
    "comment",
    [
        b"UNICODE\0" + ("x, y\n" + PARAMETERS).encode("utf-16-le"),
        b"UNICODE\0" + ("x, y\n" + PARAMETERS).encode("utf-16-be"),
        b"UNICODE\0\xff\xfe" + ("x, y\n" + PARAMETERS).encode("utf-16-le"),
        b"UNICODE\0\xfe\xff" + ("x, y\n" + PARAMETERS).encode("utf-16-be"),
        b"ASCII\0\0\0" + ("x, y\n" + PARAMETERS).encode(),
        bytes(8) + ("x, y\n" + PARAMETERS).encode(),
        ("x, y\n" + PARAMETERS).encode(),
    ],
)
def test_user_comments_of_other_writers(comment):
    out = io.BytesIO()
    PICTURE.save(out, "JPEG", exif=_exif(comment))
    assert read_metadata(out.getvalue()).infotext == "x, y\n" + PARAMETERS


def test_little_endian_without_parameters_line():
    assert decode_comment(b"UNICODE\0" + "plain words".encode("utf-16-le")) == "plain words"
    assert decode_comment(b"UNICODE\0" + "山の上の猫".encode("utf-16-be")) == "山の上の猫"


@pytest.mark.parametrize(
    "block", [b"", b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\x08\0\xff", _exif(b"UNICODE\0")[:40], b"\xff" * 99]
)
def test_damaged_exif_is_no_infotext(block):
    image = PICTURE.copy()
    image.info["exif"] = block
    assert read_metadata(image).infotext == ""


def test_long_text_in_jpeg():
    ascii_text = "word, " * 9000 + "\n" + PARAMETERS
    assert read_metadata(encode(PICTURE, "jpg", ascii_text)).infotext == ascii_text
    wide = "猫" * 40000
    kept = read_metadata(encode(PICTURE, "jpg", wide)).infotext
    assert 30000 < len(kept) < 40000 and wide.startswith(kept)
    for format in ("png", "webp", "avif"):
        assert read_metadata(encode(PICTURE, format, wide)).infotext == wide


def hide(image: Image.Image, text: str, packed: bool) -> Image.Image:
    alpha = image.mode == "RGBA"
    payload = gzip.compress(text.encode()) if packed else text.encode()
    signature = f"stealth_{'png' if alpha else 'rgb'}{'comp' if packed else 'info'}".encode()
    message = signature + (len(payload) * 8).to_bytes(4, "big") + payload
    bits = np.unpackbits(np.frombuffer(message, np.uint8))
    values = np.asarray(image).transpose(1, 0, 2).copy()
    part = values[:, :, 3:] if alpha else values
    flat = part.reshape(-1)
    flat[: len(bits)] = (flat[: len(bits)] & 0xFE) | bits
    part[...] = flat.reshape(part.shape)
    return Image.fromarray(np.ascontiguousarray(values.transpose(1, 0, 2)))


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("packed", [False, True])
def test_stealth(mode, packed):
    values = np.random.default_rng(4).integers(0, 256, (50, 60, len(mode)), dtype=np.uint8)
    text = f"ein Wald, Nebel ü\n{PARAMETERS}"
    hidden = hide(Image.fromarray(values), text, packed)
    assert read_metadata(hidden).infotext == text
    assert read_metadata(encode(hidden, "png")).infotext == text
    assert read_metadata(encode(hidden, "png", "visible")).infotext == "visible"


def test_items_leave_out_the_technical():
    data = encode(PICTURE, "jpg", "p")
    assert read_metadata(data).items == {}
