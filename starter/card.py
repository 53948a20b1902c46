"""The model card: what was measured, written out as Markdown, with the contact sheet and the notice of the sources.

python -m starter.card --report DATA/report --remarks TEXT
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from types import MappingProxyType
from typing import Any

from PIL import Image

from atelier.base.paths import PROGRAM
from starter.teach import LESSONS

SOURCES = (
    ("@iconify-json/noto", "1.2.9", "Noto Emoji, Google Inc", "Apache-2.0", "every file"),
    ("@iconify-json/twemoji", "1.2.5", "Twemoji, Twitter and contributors", "CC-BY-4.0", "every file"),
    ("@iconify-json/fluent-emoji-flat", "1.2.6", "Fluent Emoji, Microsoft Corporation", "MIT", "every file"),
    ("emojibase-data", "17.0.0", "Emojibase, Miles Johnson", "MIT", "names of the emoji, no pictures"),
)
"""Package, version, work and author, licence, what it went into. The two further styles that `sprites` renders went
into no weights yet."""
MIT = """Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions: The above copyright notice and
this permission notice shall be included in all copies or substantial portions of the Software. THE SOFTWARE IS PROVIDED
"AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF
MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT
HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE,
ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE."""
GOALS = MappingProxyType(
    {
        "object": ("object", 0.8),
        "shape colour": ("colour", 0.9),
        "object on background": ("background", 0.9),
        "held-out": ("object", 0.7),
        "counts": ("count", 0.7),
    }
)
"""Group of prompts to the mark that counts there and the share that is wanted."""


def _number(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def prompts_table(groups: dict[str, dict[str, float]]) -> str:
    marks = ("object", "top5", "background", "colour", "count")
    lines = ["| prompts | n | " + " | ".join(marks) + " | wanted |", "|" + "---|" * (len(marks) + 3)]
    for name, row in groups.items():
        mark, goal = GOALS.get(name, ("", 0.0))
        wanted = f"{mark} {goal:.2f}" if mark else ""
        lines.append(
            f"| {name} | {row['n']} | " + " | ".join(_number(row.get(m, "")) for m in marks) + f" | {wanted} |"
        )
    return "\n".join(lines)


def derived(folder: Path) -> str:
    """What was measured on the files that were made from the starter, as far as they were measured."""
    lines = []
    siblings = folder / "siblings.json"
    for kind, rows in (json.loads(siblings.read_text()) if siblings.exists() else {}).items():
        cases = rows.items() if all(isinstance(row, dict) for row in rows.values()) else [("", rows)]
        lines += [f"- {kind} {case}".rstrip() + f": {_values(row)}" for case, row in cases]
    for kind, thing in LESSONS.items():
        path = folder / f"{kind}.json"
        if path.exists():
            lines.append(f"- {kind} ({thing}): {_values(json.loads(path.read_text()))}")
    return "\n".join(lines)


def _values(row: dict[str, Any]) -> str:
    return ", ".join(f"{key} {_number(value)}" for key, value in row.items())


def sources_table() -> str:
    lines = ["| package | version | work | licence | went into |", "|---|---|---|---|---|"]
    rows = (
        f"| `{package}` | {version} | {work} | {licence} | {use} |" for package, version, work, licence, use in SOURCES
    )
    return "\n".join([*lines, *rows])


def card(report: dict[str, Any], remarks: str, made_from_it: str = "") -> str:
    """The whole page. `remarks`: what a person saw on the contact sheet and what limits the model."""
    rest = {key: value for key, value in report.items() if isinstance(value, dict) and key != "prompts"}
    measured = "\n".join(f"- {name}: {_values(row)}" for name, row in rest.items())
    return f"""# Atelier starter

A small Stable Diffusion 1 in its usual layout (CLIP text encoder, KL autoencoder of factor 8, cross-attention UNet,
v-prediction), trained from nothing on icon pictures by the scripts in `starter/`. Native size 256 x 256, fp16, 43 MB.
It is there to try out, to teach and to test every function of the program offline. It has seen 241 things, eight
shapes and eight poses of a figure in ten colours, and nine backgrounds, and draws like an emoji font. Captions were of
the form `a panda on a blue background`, `a (red:1.4) circle`, `three stars`, `a red waving figure`, `a fox, twemoji
style`, or single words of these; free wording was not in them. What a prompt leaves open, such as the background, the
seed decides.

Measured with {report["checkpoint"]}, guidance {report["cfg"]}, 20 steps, one fixed seed for each prompt.
`object`: a separate network, trained on real renders only, names what the prompt asks for; `top5`: it is
among its first five guesses; the other columns are measured on the pixels.

{prompts_table(report["prompts"])}

{measured}

![contact sheet](../../docs/starter/sheet.jpg)

{remarks.strip()}

## Made from it

Two siblings with further input channels (inpainting, depth) and three small networks that teach it one thing each, by
the same scripts.

{made_from_it}

## Sources

The weights were trained on pictures rendered from these packages and on drawn shapes: no other pictures,
no pretrained weights.

{sources_table()}

The tokenizer is CLIP's, in `atelier/families/assets/clip` with its licence.
"""


def notice() -> str:
    """The notice file that goes with the weights."""
    lines = [f"{work} ({package} {version}), {licence}: {use}" for package, version, work, licence, use in SOURCES]
    return (
        "The model files of Atelier (names that begin with atelier-): weights trained on pictures of\n\n"
        + "\n".join(lines)
        + f"""

and on shapes drawn by the program's own scripts. No pretrained weights were used. The weights are offered under the
Apache License 2.0 (see LICENSE). The pictures were rendered, recoloured, scaled and combined for training.

Noto Emoji is licensed under the Apache License 2.0 (see LICENSE): https://github.com/googlefonts/noto-emoji
Twemoji graphics are licensed under CC-BY 4.0: https://creativecommons.org/licenses/by/4.0/
Copyright Twitter, Inc and other contributors: https://github.com/jdecked/twemoji
Fluent Emoji, Copyright (c) Microsoft Corporation, and Emojibase, Copyright (c) Miles Johnson, under the MIT licence:

{MIT}
"""
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", type=Path, required=True, help="folder that evaluate wrote")
    parser.add_argument("--remarks", type=Path, help="text file: what was seen with one's own eyes")
    parser.add_argument("--root", type=Path, default=PROGRAM, help="where models/ and docs/ are")
    args = parser.parse_args()
    report = json.loads((args.report / "report.json").read_text())
    page = card(report, args.remarks.read_text() if args.remarks else "", derived(args.report))
    (args.root / "models/Stable-diffusion/atelier-starter.md").write_text(page)
    (args.root / "models/NOTICE-atelier.txt").write_text(notice())
    folder = args.root / "docs/starter"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    for sheet in sorted(args.report.glob("*.png")):
        if sheet.stem != "first":
            Image.open(sheet).convert("RGB").save(folder / f"{sheet.stem}.jpg", quality=85)


if __name__ == "__main__":
    main()
