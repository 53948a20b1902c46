"""Several pictures laid out on one sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image

from atelier.base.errors import BadImage

AUTO, BATCH = -1, 0


def grid_shape(count: int, *, n_rows: int = AUTO, batch_size: int = 1, no_gaps: bool = False) -> tuple[int, int]:
    """(rows, columns) for `count` pictures.

    `n_rows` > 0 is the number of rows, 0 takes `batch_size`, -1 comes close to a square; with `no_gaps` -1 takes the
    largest number of rows up to the square root that leaves no cell empty.
    """
    if count < 1:
        return 0, 0
    if n_rows > 0:
        rows = n_rows
    elif n_rows == BATCH:
        rows = batch_size
    elif no_gaps:
        rows = next(r for r in range(math.isqrt(count), 0, -1) if count % r == 0)
    else:
        rows = round(math.sqrt(count))
    rows = max(1, min(rows, count))
    return rows, math.ceil(count / rows)


def make_grid(
    images: Sequence[Image.Image], rows: int, columns: int, *, background: str = "black", limit_mp: float = 200.0
) -> Image.Image:
    """RGB, row by row; each cell has the size of the largest picture. Raises `BadImage` above `limit_mp` megapixels."""
    width, height = max(i.width for i in images), max(i.height for i in images)
    if width * columns * height * rows > limit_mp * 1e6:
        raise BadImage(
            "grid", f"a grid of {width * columns}x{height * rows} pixels is too large.",
            remedy=f"Make fewer or smaller pictures; the limit is {limit_mp:g} megapixels.",
        )  # fmt: skip
    sheet = Image.new("RGB", (width * columns, height * rows), background)
    for index, image in enumerate(images[: rows * columns]):
        mask = image.getchannel("A") if image.mode == "RGBA" else None
        sheet.paste(image, (index % columns * width, index // columns * height), mask)
    return sheet
