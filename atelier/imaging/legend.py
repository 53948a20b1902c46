"""Legend: a sheet of pictures with words above its columns and before its rows; cells may be empty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from atelier.base.errors import BadImage

#: tried by name for letters that Pillow's own font does not have
_WIDE_FONTS = (
    "DejaVuSans.ttf", "NotoSansCJK-Regular.ttc", "NotoSans-Regular.ttf", "Arial Unicode.ttf", "msgothic.ttc",
    "arial.ttf",
)  # fmt: skip
_SMALLEST = 9
_EMPTY = "#e4e4e4"

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Label:
    """Lines of text; `active` ones are dark, the others grey and struck through."""

    text: str
    active: bool = True


@dataclass(frozen=True)
class LegendStyle:
    """Colours, the file of a font (empty for the built-in one), the gap between cells in pixels."""

    active: str = "#000000"
    inactive: str = "#999999"
    background: str = "#ffffff"
    font: str = ""
    margin: int = 0
    limit_mp: float = 200.0


def cell_size(images: Sequence[Image.Image | None]) -> tuple[int, int]:
    """The size that holds every picture."""
    sizes = [image.size for image in images if image is not None] or [(64, 64)]
    return max(width for width, _ in sizes), max(height for _, height in sizes)


def sheet(
    images: Sequence[Image.Image | None],
    columns: Sequence[Sequence[Label]],
    rows: Sequence[Sequence[Label]],
    style: LegendStyle = LegendStyle(),
) -> Image.Image:
    """RGB, row by row. `columns` and `rows` hold the labels of each; empty ones leave no room for a legend.

    Raises `BadImage` above the limit of megapixels.
    """
    width, height = cell_size(images)
    drawn = any(label.text for labels in (*columns, *rows) for label in labels)
    size = max(_SMALLEST, min(width, height) // 12)
    left = _row_room(rows, width, size, style) if drawn else 0
    wrapped = [_fitted(labels, width, size, style) for labels in columns]
    top = max((_height(texts) for texts in wrapped), default=0) + size if drawn and any(columns) else 0
    full = (
        left + width * len(columns) + style.margin * (len(columns) - 1),
        top + height * len(rows) + style.margin * (len(rows) - 1),
    )
    if full[0] * full[1] > style.limit_mp * 1e6:
        raise BadImage(
            "grid", f"a grid of {full[0]}x{full[1]} pixels is too large.",
            remedy=f"Make fewer or smaller pictures; the limit is {style.limit_mp:g} megapixels.",
        )  # fmt: skip
    result = Image.new("RGB", full, style.background)
    draw = ImageDraw.Draw(result)
    for column, texts in enumerate(wrapped if top else ()):
        _write(draw, texts, (left + column * (width + style.margin), 0, width, top), style)
    for row, labels in enumerate(rows if left else ()):
        texts = _fitted(labels, left - size, size, style)
        _write(draw, texts, (0, top + row * (height + style.margin), left, height), style)
    for index, image in enumerate(images[: len(columns) * len(rows)]):
        x = left + index % len(columns) * (width + style.margin)
        y = top + index // len(columns) * (height + style.margin)
        if image is None:
            draw.rectangle((x, y, x + width - 1, y + height - 1), _EMPTY)
            continue
        mask = image.getchannel("A") if image.mode == "RGBA" else None
        result.paste(image, (x + (width - image.width) // 2, y + (height - image.height) // 2), mask)
    return result


#: a line of a label: text, font, size in pixels, whether it is active
_Line = tuple[str, Font, tuple[int, int], bool]


def _row_room(rows: Sequence[Sequence[Label]], width: int, size: int, style: LegendStyle) -> int:
    """Pixels for the words before the rows: what they need, at most three quarters of a cell."""
    texts = [label.text for labels in rows for label in labels if label.text]
    if not texts:
        return 0
    needed = max(_extent(_font(size, text, style.font), line)[0] for text in texts for line in text.split("\n"))
    return min(needed, width * 3 // 4) + 2 * size


def _fitted(labels: Sequence[Label], width: int, size: int, style: LegendStyle) -> list[_Line]:
    """The labels broken into lines that fit the width; a single long word is written smaller."""
    lines: list[_Line] = []
    for label in labels:
        font = _font(size, label.text, style.font)
        for text in _wrapped(label.text, font, width):
            own, small = font, size
            while _extent(own, text)[0] > width and small > _SMALLEST:
                small -= 1
                own = _font(small, text, style.font)
            lines.append((text, own, _extent(own, text), label.active))
    return lines


def _wrapped(text: str, font: Font, width: int) -> list[str]:
    lines = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}".strip()
            if line and _extent(font, longer)[0] > width:
                lines.append(line)
                longer = word
            line = longer
        lines.append(line)
    return [line for line in lines if line]


def _height(lines: Sequence[_Line]) -> int:
    return sum(extent[1] for _, _, extent, _ in lines)


def _write(draw: ImageDraw.ImageDraw, lines: Sequence[_Line], box: tuple[int, int, int, int], style: LegendStyle):
    """Centred in the box (left, top, width, height)."""
    left, top, width, height = box
    y = top + (height - _height(lines)) // 2
    for text, font, extent, active in lines:
        x = left + (width - extent[0]) // 2
        draw.text((x, y), text, fill=style.active if active else style.inactive, font=font)
        if not active:
            middle = y + extent[1] // 2
            draw.line((x, middle, x + extent[0], middle), style.inactive, max(1, extent[1] // 12))
        y += extent[1]


def _extent(font: Font, text: str) -> tuple[int, int]:
    """Width and height of a line; the height is that of the font, so that lines stand evenly."""
    left, top, right, bottom = font.getbbox(text or " ")
    _, _, _, low = font.getbbox("Ág")
    return int(right - left), int(max(bottom, low) * 1.15) + 1


def _font(size: int, text: str, file: str) -> Font:
    wide = any(ord(letter) > 0x24F for letter in text)
    for name in (file, *(_WIDE_FONTS if wide else ())):
        if not name:
            continue
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue  # not installed here: the next one, at last the built-in font
    return ImageFont.load_default(size)
