"""The one door for pictures from outside: any bytes in, an RGB or RGBA picture or `BadImage` out."""

from __future__ import annotations

import base64
import binascii
import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from atelier.base.errors import BadImage
from atelier.base.log import logger

log = logger(__name__)

LIMIT_MP = 200.0

# Formats that Pillow decodes itself. EPS, for one, would start another program on what a stranger sent.
FORMATS = (
    "PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP", "DIB", "TIFF", "ICO", "PPM", "TGA", "JPEG2000", "QOI", "PSD",
)  # fmt: skip

# Pillow knows only its five oldest formats until its plugins are loaded, and does not load them for a list of names.
Image.init()

# What Pillow's decoders raise on damaged files; found by cutting and garbling files of every format.
BROKEN = (
    OSError, ValueError, SyntaxError, struct.error, zlib.error, EOFError, IndexError, KeyError, TypeError,
    OverflowError, RuntimeError, AttributeError, MemoryError, ZeroDivisionError, Image.DecompressionBombError,
)  # fmt: skip

# Pillow's own guard warns at 89 megapixels and refuses at 179, below our default. It stays in force above that,
# for every other user of Pillow in this process; the exact limit is checked here before a pixel is decoded.
Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS or 0, int(LIMIT_MP * 1.25e6))


@dataclass(frozen=True)
class Decoded:
    """`image` is RGB or RGBA, upright, fully loaded, its `info` kept; `media` is the type of the bytes it came from."""

    image: Image.Image
    media: str
    frames: int = 1


def open_image(data: bytes, field: str = "image", *, limit_mp: float = LIMIT_MP) -> Image.Image:
    """RGB or RGBA, first frame, EXIF rotation applied, 16 bits scaled to 8. Raises `BadImage` naming `field`."""
    return decode(data, field, limit_mp=limit_mp).image


def decode(data: bytes, field: str = "image", *, limit_mp: float = LIMIT_MP) -> Decoded:
    if not data:
        raise BadImage(field, "the picture is empty (0 bytes).", remedy="Choose the file again or send it anew.")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as source:
            _check_size(source.size, field, limit_mp)
            # A camera's several pictures in one JPEG are a JPEG to everybody else.
            media = Image.MIME.get(
                "JPEG" if source.format == "MPO" else source.format or "", "application/octet-stream"
            )
            frames = int(getattr(source, "n_frames", 1))
            source.seek(0)
            source.load()
            return Decoded(_to_8bit(_upright(source)), media, frames)
    except BadImage:
        raise
    except UnidentifiedImageError as error:
        raise BadImage(
            field,
            "this is not a picture that can be read.",
            remedy="Use a PNG, JPEG, WebP, AVIF, GIF, BMP or TIFF file.",
        ) from error
    except Image.DecompressionBombError as error:
        raise _too_large(field, limit_mp) from error
    except BROKEN as error:
        raise BadImage(
            field,
            f"the picture is damaged or incomplete ({error}).",
            remedy="Send the whole file, or save it again as PNG.",
        ) from error


def decode_base64(text: str, field: str = "image") -> bytes:
    """Bytes of bare base64 or a `data:` URI; white space, missing padding and the URL alphabet are tolerated."""
    body = text.strip()
    if body[:5].lower() == "data:":
        head, comma, body = body.partition(",")
        if not comma or "base64" not in head.lower():
            raise BadImage(field, "the data: URI holds no base64.", remedy="Write data:image/png;base64,<data>.")
    body = "".join(body.split()).replace("-", "+").replace("_", "/").rstrip("=")
    if not body:
        raise BadImage(field, "the picture is empty.", remedy="Send the picture as base64.")
    try:
        return base64.b64decode(body + "=" * (-len(body) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadImage(field, f"this is not valid base64 ({error}).", remedy="Send the picture as base64.") from error


def flatten(image: Image.Image, color: str = "#ffffff") -> Image.Image:
    """RGB, with transparent parts laid on `color`, any colour that Pillow can name."""
    if image.mode == "RGB":
        return image
    if "A" not in image.getbands() and "transparency" not in image.info:
        return _to_8bit(image).convert("RGB")
    rgba = image.convert("RGBA")
    ground = Image.new("RGBA", image.size, color)
    ground.alpha_composite(rgba)
    flat = ground.convert("RGB")
    flat.info = dict(image.info)
    return flat


def _check_size(size: tuple[int, int], field: str, limit_mp: float) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise BadImage(field, f"the picture has no pixels ({width}x{height}).", remedy="Choose another picture.")
    if width * height > limit_mp * 1e6:
        raise _too_large(field, limit_mp, f"{width}x{height}")


def _too_large(field: str, limit_mp: float, size: str = "") -> BadImage:
    what = f"the picture is too large ({size})." if size else "the picture is too large."
    return BadImage(
        field,
        what,
        limit_mp=limit_mp,
        remedy=f"Make it smaller than {limit_mp:g} megapixels, or raise the limit in Settings.",
    )


def _upright(image: Image.Image) -> Image.Image:
    """A copy, turned as the camera says. A damaged EXIF block is no reason to refuse a sound picture."""
    try:
        return ImageOps.exif_transpose(image)
    except BROKEN as error:
        log.warning("EXIF of a picture cannot be read, rotation ignored error=%s", error)
        return image.copy()


def _to_8bit(image: Image.Image) -> Image.Image:
    mode, info = image.mode, dict(image.info)
    transparent = info.pop("transparency", None) is not None
    if mode.startswith("I") or mode == "F":
        result = Image.fromarray(_scaled(np.asarray(image), mode)).convert("RGB")
    elif mode in ("RGBA", "RGB") and not transparent:
        result = image
    elif transparent or mode in ("LA", "La", "PA", "RGBa", "RGBA"):
        result = image.convert("RGBA")
    else:
        result = image.convert("RGB")
    result.info = info
    return result


def _scaled(values: np.ndarray, mode: str) -> np.ndarray:  # [H, W] -> uint8 [H, W]
    """Grey of more than 8 bits to 8. Pillow's own conversion clips at 255 instead of scaling."""
    values = np.nan_to_num(values.astype(np.float64), posinf=65535.0, neginf=0.0)
    top = values.max(initial=0.0)
    if mode == "F":
        full = 1.0 if top <= 1.0 else 255.0 if top <= 255.0 else 65535.0
    elif mode == "I":
        full = 65535.0 if top <= 65535.0 else float(2**31 - 1)
    else:
        full = 65535.0
    return np.clip(np.rint(values * (255.0 / full)), 0, 255).astype(np.uint8)
