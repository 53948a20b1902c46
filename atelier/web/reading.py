"""Reading: everything that a picture's file says of how it was made, whichever program wrote it."""

from __future__ import annotations

from atelier.imaging.decode import open_image
from atelier.imaging.metadata import Metadata, read_metadata
from atelier.imaging.watermark import detect
from atelier.params.foreign.catalogue import Told, translate


def read_picture(data: bytes, field: str = "picture") -> tuple[Metadata, Told, str]:
    """The file's texts, what they mean, and the word hidden in the pixels.

    Raises `BadImage` when the bytes are no picture.
    """
    image = open_image(data, field)
    found = read_metadata(image)
    return found, translate(found.infotext, found.items, image.size), detect(image)
