"""`modules.api.api`: pictures of A1111's HTTP API as text, and back."""

from __future__ import annotations

import base64
from typing import Any

from PIL import Image

from atelier.imaging.decode import decode, decode_base64
from atelier.imaging.writer import encode
from modules._host.attach import host


def decode_base64_to_image(encoding: str) -> Image.Image:
    """Of base64 or a data URL. Raises `BadImage`."""
    return decode(decode_base64(encoding)).image


def encode_pil_to_base64(image: Any) -> bytes:
    """In the format of the settings, with the parameters that the picture carries."""
    if isinstance(image, str):
        return image.encode()
    options = host().options
    text = str((image.info or {}).get("parameters") or "") if options.enable_pnginfo else ""
    return base64.b64encode(encode(image, options.samples_format, text, quality=options.jpeg_quality))
