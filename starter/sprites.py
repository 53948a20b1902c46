"""The sprites: icons of openly licensed packages, rendered to RGBA squares of 256 pixels and kept in one file.

    npm install --prefix DATA/npm @iconify-json/noto @iconify-json/twemoji @iconify-json/fluent-emoji-flat \\
        @iconify-json/noto-v1 @iconify-json/fxemoji emojibase-data
    pip install resvg_py
    python -m starter.sprites --data DATA
"""

from __future__ import annotations

import argparse
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from PIL import Image

from starter.concepts import OBJECTS
from starter.progress import Progress

STYLES = MappingProxyType(
    {
        "noto": "noto",
        "twemoji": "twemoji",
        "fluent-emoji-flat": "fluent",
        "noto-v1": "noto classic",
        "fxemoji": "fxemoji",
    }
)
"""Package name to the style's name, best drawn first."""
SIZE = 256


def _plain(code: str) -> str:
    return "-".join(part for part in code.upper().split("-") if part != "FE0F")


def _slug(label: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")


def _labels(packages: Path) -> dict[str, str]:
    """Code points to the lower-case label of the emoji data."""
    rows = json.loads((packages / "emojibase-data/en/data.json").read_text())
    return {_plain(row["hexcode"]): row["label"].lower() for row in rows}


def _svg(icon: dict[str, Any], box: tuple[int, int]) -> str:
    left, top = icon.get("left", 0), icon.get("top", 0)
    view = f"{left} {top} {icon.get('width', box[0])} {icon.get('height', box[1])}"
    spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return f'<svg {spaces} width="{SIZE}" height="{SIZE}" viewBox="{view}">{icon["body"]}</svg>'


def icons(packages: Path, style: str) -> Iterator[tuple[str, str]]:
    """(object name, svg text) of every object of `concepts.OBJECTS` that the package draws."""
    folder = packages / "@iconify-json" / style
    table = json.loads((folder / "icons.json").read_text())
    chars = json.loads((folder / "chars.json").read_text()) if (folder / "chars.json").exists() else {}
    labels = _labels(packages)
    by_label = {labels[_plain(code)]: name for code, name in chars.items() if _plain(code) in labels}
    for name, label in OBJECTS.items():
        key = by_label.get(label) or _slug(label)
        key = table.get("aliases", {}).get(key, {}).get("parent", key)
        if key in table["icons"]:
            yield name, _svg(table["icons"][key], (table.get("width", 16), table.get("height", 16)))


def icon_of(packages: Path, style: str, key: str) -> str:
    """The svg text of one icon under its package's own name, also of one that is not in the world."""
    table = json.loads((packages / "@iconify-json" / style / "icons.json").read_text())
    return _svg(table["icons"][key], (table.get("width", 16), table.get("height", 16)))


def render(svg: str) -> Image.Image:
    import resvg_py

    picture = Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg)))).convert("RGBA")
    return picture if picture.size == (SIZE, SIZE) else picture.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


def build(data: Path) -> Path:
    """Renders all styles; a style that stands in the file already is not rendered again."""
    target = data / "sprites.npz"
    kept = dict(np.load(target)) if target.exists() else {}
    progress = Progress(data / "sprites.log")
    for style in STYLES:
        pairs = list(icons(data / "npm/node_modules", style))
        for done, (name, svg) in enumerate(pairs, 1):
            if (key := f"{style}/{name}") not in kept:
                kept[key] = np.asarray(render(svg))
            progress.every(5, "rendered", style=style, done=done, of=len(pairs))
        progress.say("style done", style=style, objects=len(pairs))
    np.savez_compressed(target, **kept)
    return target


class Sprites:
    """The rendered sprites by style and object name."""

    def __init__(self, path: Path) -> None:
        self._arrays = np.load(path)
        self.styles = tuple(style for style in STYLES if any(key.startswith(style + "/") for key in self._arrays.files))
        self._cache: dict[str, Image.Image] = {}

    def names(self, style: str) -> list[str]:
        return [key.partition("/")[2] for key in self._arrays.files if key.startswith(style + "/")]

    def get(self, style: str, name: str) -> Image.Image:
        """RGBA, 256 pixels square. Raises KeyError for an object that the style does not draw."""
        key = f"{style}/{name}"
        if key not in self._cache:
            self._cache[key] = Image.fromarray(self._arrays[key])
        return self._cache[key]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with npm/node_modules; sprites.npz is written there"
    )
    build(parser.parse_args().data)


if __name__ == "__main__":
    main()
