"""Pictures from outside: every odd kind is read, every broken one refused by name."""

from __future__ import annotations

import base64
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from atelier.base.errors import BadImage
from atelier.imaging.decode import decode, decode_base64, flatten, open_image


def encoded(image: Image.Image, format: str, **options) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def noise(width: int = 40, height: int = 30, channels: int = 3) -> Image.Image:
    values = np.random.default_rng(1).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return Image.fromarray(values)


def claiming(side: int) -> bytes:
    """A PNG whose header says that it is a square of this side; it holds next to no pixels."""
    chunks = b"\x89PNG\r\n\x1a\n"
    for name, body in (
        (b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(99))),
        (b"IEND", b""),
    ):
        chunks += struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    return chunks


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "PPM", "TGA"])
def test_usual_formats_become_rgb(format):
    data = encoded(noise(), format)
    decoded = decode(data)
    assert decoded.image.size == (40, 30)
    assert decoded.image.mode in ("RGB", "RGBA")
    assert decoded.media.startswith("image/")


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_not_clipped(format):
    values = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)
    image = open_image(encoded(Image.fromarray(values), format))
    assert image.mode == "RGB"
    assert np.asarray(image)[0, :, 0].tolist() == [0, 1, 128, 255]


def test_float_picture_in_unit_range_is_scaled():
    image = open_image(encoded(Image.fromarray(np.array([[0.0, 0.5, 1.0]], dtype=np.float32)), "TIFF"))
    assert np.asarray(image)[0, :, 1].tolist() == [0, 128, 255]


def test_cmyk_becomes_rgb_with_the_right_colours():
    data = encoded(Image.new("RGB", (16, 16), (220, 30, 30)).convert("CMYK"), "JPEG", quality=95)
    red, green, blue = open_image(data).getpixel((8, 8))
    assert red > 180 and green < 80 and blue < 80


def test_palette_with_transparency_keeps_it():
    image = Image.new("P", (4, 1))
    image.putpalette([255, 0, 0, 0, 255, 0] + [0] * 762)
    image.putpixel((1, 0), 1)
    result = open_image(encoded(image, "PNG", transparency=1))
    assert result.mode == "RGBA"
    assert result.getpixel((0, 0)) == (255, 0, 0, 255)
    assert result.getpixel((1, 0))[3] == 0


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_every_png_mode_is_read(mode):
    assert open_image(encoded(noise().convert(mode), "PNG")).mode in ("RGB", "RGBA")


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_animation_gives_its_first_frame(format):
    frames = [Image.new("RGB", (8, 8), c) for c in ("red", "lime", "blue")]
    data = encoded(frames[0], format, save_all=True, append_images=frames[1:], duration=50)
    decoded = decode(data)
    assert decoded.frames == 3
    red, green, blue = decoded.image.convert("RGB").getpixel((4, 4))
    assert red > 200 and green < 60 and blue < 60


def test_exif_rotation_is_applied():
    image = Image.new("RGB", (20, 10), "white")
    image.paste("red", (0, 0, 10, 10))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by 90 degrees
    result = open_image(encoded(image, "JPEG", exif=exif.tobytes(), quality=95))
    assert result.size == (10, 20)
    assert result.getpixel((5, 3))[1] < 80 < 200 < result.getpixel((5, 17))[1]
    assert open_image(encoded(result, "JPEG", exif=result.info["exif"])).size == (10, 20)


def test_damaged_exif_does_not_cost_the_picture():
    assert open_image(encoded(noise(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff" + b"junk" * 9)).size == (40, 30)


def test_wide_pictures_are_read_and_bombs_refused():
    assert open_image(encoded(Image.new("L", (12000, 3)), "PNG")).size == (12000, 3)
    for side in (15000, 30000, 2**31 - 1):
        with pytest.raises(BadImage, match="too large") as caught:
            open_image(claiming(side), "init_images.0")
        assert caught.value.field == "init_images.0"
    with pytest.raises(BadImage, match="too large"):
        open_image(encoded(Image.new("L", (2000, 1000)), "PNG"), limit_mp=1)


@pytest.mark.parametrize(
    "data", [b"", b"\0", b"hello", b"\x89PNG\r\n\x1a\n", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"]
)
def test_what_is_no_picture_is_refused_with_field_and_remedy(data):
    with pytest.raises(BadImage) as caught:
        open_image(data, "mask")
    assert caught.value.field == "mask"
    assert caught.value.status == 422
    assert caught.value.remedy


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP", "TIFF"])
def test_cut_and_garbled_files_never_raise_anything_else(format):
    data = encoded(noise(), format)
    rng = np.random.default_rng(7)
    refused = 0
    for _ in range(60):
        if rng.random() < 0.5:
            broken = data[: int(rng.integers(1, len(data)))]
        else:
            changed = bytearray(data)
            for place in rng.integers(0, len(data), 12):
                changed[place] = int(rng.integers(0, 256))
            broken = bytes(changed)
        try:
            assert open_image(broken).mode in ("RGB", "RGBA")
        except BadImage:
            refused += 1
    assert refused > 10


def test_half_a_file_is_refused():
    data = encoded(noise(200, 200), "PNG")
    with pytest.raises(BadImage, match="damaged or incomplete"):
        open_image(data[: len(data) // 2])


def test_base64_in_all_spellings():
    data = bytes(range(251))
    bare = base64.b64encode(data).decode()
    for text in (
        bare,
        bare.rstrip("="),
        "data:image/png;base64," + bare,
        "DATA:;BASE64," + bare,
        "\n ".join((bare[:50], bare[50:])),
        base64.urlsafe_b64encode(data).decode(),
    ):
        assert decode_base64(text) == data


@pytest.mark.parametrize(
    "text", ["", "data:image/png;base64,", "data:image/png", "data:,abc", "not base64!", "abcde", "äöü"]
)
def test_wrong_base64_names_the_field(text):
    with pytest.raises(BadImage) as caught:
        decode_base64(text, "init_images.0")
    assert caught.value.field == "init_images.0"


def test_flatten_lays_on_colour():
    image = Image.new("RGBA", (2, 1), (255, 0, 0, 0))
    image.putpixel((1, 0), (0, 0, 255, 255))
    flat = flatten(image, "#00ff00")
    assert flat.mode == "RGB"
    assert [flat.getpixel((x, 0)) for x in (0, 1)] == [(0, 255, 0), (0, 0, 255)]
