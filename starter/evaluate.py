"""The measuring of a checkpoint over the fixed prompts: objects by the judge, colours and counts by looking at pixels.

python -m starter.evaluate --data DATA --checkpoint FILE.safetensors --out DATA/report [--every 1]
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from starter import classifier
from starter.checkpoint import load_vae
from starter.concepts import COLOURS, FIRST_OBJECTS, SHAPES
from starter.measures import background_rgb, colourfulness, crop, filled_places, nearest_colour, object_rgb
from starter.models import decode, encode, to_input
from starter.progress import Progress
from starter.prompts import Prompt, subset
from starter.sampling import Painter, sheet
from starter.scene import Composer
from starter.sprites import Sprites
from starter.world import LAYOUTS, scenes

Judge = Callable[[np.ndarray], torch.Tensor]
USUAL_CFG = 7.0
"""What the page offers when it is opened."""


def _views(picture: np.ndarray, prompt: Prompt) -> list[np.ndarray]:
    """The picture itself, or each place where one of several things must stand."""
    number = max(prompt.count, len(prompt.objects))
    if number == 1:
        return [picture]
    return [crop(picture, x, y) for x, y in LAYOUTS[number][0]]


def mark(picture: np.ndarray, prompt: Prompt, judge: Judge) -> dict[str, bool]:
    """What of the prompt holds in the picture: object, top5, background, and colour and count where they are named."""
    scores = judge(np.stack(_views(picture, prompt)))
    wanted = [classifier.CLASSES.index(name) for name in prompt.objects]
    wanted = wanted * len(scores) if len(wanted) == 1 else wanted
    best = scores.topk(5, 1).indices.tolist()
    marks = {
        "object": all(row[0] == label for row, label in zip(best, wanted)),
        "top5": all(label in row for row, label in zip(best, wanted)),
    }
    if prompt.background is not None:
        marks["background"] = nearest_colour(background_rgb(picture)) == prompt.background
    if prompt.colour is not None and prompt.objects[0] in SHAPES:
        marks["colour"] = nearest_colour(object_rgb(picture)) == prompt.colour
    if prompt.group == "counts":
        marks["count"] = filled_places(picture) == prompt.count
    return marks


def _shares(rows: Sequence[dict[str, bool]]) -> dict[str, float]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {
        "n": len(rows),
        **{name: round(float(np.mean([row[name] for row in rows if name in row])), 3) for name in names},
    }


def over_prompts(
    painter: Painter, judge: Judge, prompts: Sequence[Prompt], cfg: float, progress: Progress
) -> tuple[dict[str, Any], np.ndarray]:
    """Shares by group, and the pictures in the order of the prompts."""
    pictures, marks = [], []
    for i in range(0, len(prompts), 8):
        progress.wait_while_paused()
        part = prompts[i : i + 8]
        painted = painter.paint([p.text for p in part], [p.seed for p in part], cfg=cfg)
        pictures.extend(painted)
        marks.extend(mark(picture, prompt, judge) for picture, prompt in zip(painted, part))
        progress.every(20, "evaluated", done=len(pictures), of=len(prompts))
    groups = dict.fromkeys(p.group for p in prompts)
    table = {group: _shares([m for m, p in zip(marks, prompts) if p.group == group]) for group in groups}
    table["object, first 122"] = _shares(
        [m for m, p in zip(marks, prompts) if p.group == "object" and p.objects[0] in FIRST_OBJECTS]
    )
    return table, np.stack(pictures)


def emphasis(painter: Painter, cfg: float) -> dict[str, float]:
    """Share of colours for which 0.5, 1 and 1.5 order the measured colourfulness as they should."""
    words = [name for name in COLOURS if name not in ("black", "gray", "brown")][:6]
    prompts = [f"a ({word}:{weight}) circle" for word in words for weight in (0.5, 1.0, 1.5)]
    pictures = painter.paint(prompts, [77] * len(prompts), cfg=cfg)
    values = [colourfulness(object_rgb(picture)) for picture in pictures]
    rows = [values[i : i + 3] for i in range(0, len(values), 3)]
    return {
        "n": len(rows),
        "less below 1": float(np.mean([r[0] < r[1] for r in rows])),
        "more above 1": float(np.mean([r[2] > r[1] for r in rows])),
    }


def negatives(painter: Painter, cfg: float) -> dict[str, float]:
    """Share of shapes whose measured colour goes away when the negative prompt names it."""
    prompts = [f"a {name}" for name in SHAPES] * 3
    seeds = [55 + i // len(SHAPES) for i in range(len(prompts))]
    plain = painter.paint(prompts, seeds, cfg=cfg)
    before = [nearest_colour(object_rgb(picture)) for picture in plain]
    named = painter.paint(prompts, seeds, negatives=before, cfg=cfg)
    after = [nearest_colour(object_rgb(picture)) for picture in named]
    return {"n": len(prompts), "removed": float(np.mean([a != b for a, b in zip(after, before)]))}


def _apart(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(float) - other.astype(float)).mean())


def seeds_and_strength(painter: Painter, cfg: float) -> dict[str, float]:
    """Mean absolute difference (0..255) between seeds, and to the source of img2img at strengths 0.3 and 0.8."""
    four = painter.paint(["a panda"] * 4, [1, 2, 3, 4], cfg=cfg)
    source = painter.paint(["a red apple"], [9], cfg=cfg)[0]
    weak, strong = (
        painter.repaint(source, "a lemon on a blue background", 3, strength, cfg=cfg) for strength in (0.3, 0.8)
    )
    return {
        "between seeds": np.mean([_apart(four[0], other) for other in four[1:]]).item(),
        "strength 0.3": _apart(source, weak),
        "strength 0.8": _apart(source, strong),
    }


def reconstruction(data: Path, vae_file: Path, number: int = 48) -> dict[str, float]:
    """PSNR of the autoencoder on renders, in dB, mean over pictures: one large object, and two small ones."""
    composer, vae, values = Composer(Sprites(data / "sprites.npz")), load_vae(vae_file), {}
    for stage in ("objects", "pairs"):
        rows, errors = random.Random(3).sample(scenes(stage), number // 2), []
        for i in range(0, len(rows), 4):
            shown = np.stack([composer.draw(scene) for scene in rows[i : i + 4]])
            with torch.autocast("cpu", torch.bfloat16):
                back = decode(vae, encode(vae, to_input(torch.from_numpy(shown)))).numpy()
            errors.extend(((back.astype(float) - shown) ** 2).mean((1, 2, 3)))
        values[stage] = float(np.mean(10 * np.log10(255**2 / np.array(errors))))
    return {"n": number, **values}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with sprites.npz and classifier.pt")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder for report.json and sheet.png")
    parser.add_argument("--every", type=int, default=1, help="only every n-th prompt")
    parser.add_argument("--cfg", type=float, default=4.0)
    parser.add_argument("--objects", type=int, default=200, help="only the n most common single objects")
    parser.add_argument("--side", type=int, help="side of the pictures in pixels; default: the checkpoint's own")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--prompts-only", action="store_true")
    only.add_argument("--rest-only", action="store_true", help="all but the prompts, put into the report that is there")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    progress, painter = Progress(args.out / "evaluate.log"), Painter(args.checkpoint, args.side)
    target = args.out / "report.json"
    report: dict[str, Any] = json.loads(target.read_text()) if args.rest_only else {}
    if not args.rest_only:
        judge, prompts = classifier.load(args.data).judge, subset(args.every, args.objects)
        table, pictures = over_prompts(painter, judge, prompts, args.cfg, progress)
        report = {"checkpoint": args.checkpoint.name, "cfg": args.cfg, "prompts": table}
        sheet(pictures, 16, 96).save(args.out / "sheet.png")
        Image.fromarray(pictures[0]).save(args.out / "first.png")
    if not args.prompts_only:
        report |= {
            "judge": classifier.accuracy(classifier.load(args.data), args.data, args.checkpoint),
            **{f"emphasis, guidance {cfg:g}": emphasis(painter, cfg) for cfg in (args.cfg, USUAL_CFG)},
            **{f"negative prompt, guidance {cfg:g}": negatives(painter, cfg) for cfg in (args.cfg, USUAL_CFG)},
            "seeds and img2img": seeds_and_strength(painter, args.cfg),
            "reconstruction": reconstruction(args.data, args.checkpoint),
        }
    target.write_text(json.dumps(report, indent=1))
    for name, row in report["prompts"].items():
        progress.say(name, **row)
    progress.say("rest", **{key: value for key, value in report.items() if key not in ("prompts", "checkpoint")})


if __name__ == "__main__":
    main()
