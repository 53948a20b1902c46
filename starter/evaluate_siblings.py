"""The measuring of the inpainting and the depth sibling, each beside the starter that it was made from.

python -m starter.evaluate_siblings --data DATA --base FILE --inpainting FILE --depth FILE --out DATA/report
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch

from starter import beside, classifier
from starter.annotations import depth_of, silhouettes
from starter.captions import caption
from starter.concepts import FIRST_OBJECTS
from starter.gap import clean_guess
from starter.measures import background_rgb, foreground, nearest_colour
from starter.models import alphas_cumprod, encode, to_input
from starter.progress import Progress
from starter.sampling import Painter, sheet
from starter.scene import Composer, Item, Scene
from starter.sprites import Sprites
from starter.world import scenes

PLACE = (24, 24, 232, 232)
"""Left, top, right, bottom of what is painted anew when one object takes the place of another."""
CORNER = (0, 0, 96, 96)


def _rows(number: int, seed: int) -> list[tuple[Scene, Scene]]:
    """Pairs of scenes on the same background: what is there, and what is wanted in its place."""
    rng, out = random.Random(seed), []
    for _ in range(number):
        one, other = rng.sample(list(FIRST_OBJECTS), 2)
        background = rng.choice(("red", "yellow", "green", "blue", "purple", "white"))
        out.append(tuple(Scene("objects", background, (Item(name),)) for name in (one, other)))
    return out


def _latent_inpaint(
    painter: Painter, words: torch.Tensor, source: torch.Tensor, mask: torch.Tensor, seeds: list[int], cfg: float
) -> torch.Tensor:
    """What a model without further channels does: the place that is kept is put back after each step."""
    times, alphas = torch.linspace(999, 0, 21).round().long()[:-1], alphas_cumprod()
    alphas, noise = torch.cat([alphas[times], torch.ones(1)]), painter.noise(seeds)
    x = noise
    for i, time in enumerate(times):
        x = torch.where(mask > 0, x, alphas[i].sqrt() * source + (1 - alphas[i]).sqrt() * noise)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            output = painter.unet(torch.cat([x, x]), time.expand(2 * len(x)), words).sample.float()
        plain, named = output.chunk(2)
        clean = clean_guess(plain + cfg * (named - plain), x, alphas[i])
        rest = (x - alphas[i].sqrt() * clean) / (1 - alphas[i]).sqrt()
        x = alphas[i + 1].sqrt() * clean + (1 - alphas[i + 1]).sqrt() * rest
    return torch.where(mask > 0, x, source)


def _inpainting_marks(
    made: np.ndarray, before: np.ndarray, masks: np.ndarray, names: list[str], judge: classifier.Classifier
) -> dict[str, float]:
    """Share of pictures in which the wanted thing is named, what changed outside the mask, and the seam's colour."""
    labels = torch.tensor([classifier.CLASSES.index(name) for name in names])
    best = judge.judge(made).topk(5, 1).indices
    outside = [float(np.abs(a.astype(float) - b)[~m].mean()) for a, b, m in zip(made, before, masks)]
    seam = []
    for picture, old, mask in zip(made, before, masks):
        inside = mask & ~foreground(picture)
        colour = np.median(picture[inside], 0) if inside.sum() > 50 else np.zeros(3)
        seam.append(nearest_colour(colour) == nearest_colour(background_rgb(old)))
    return {
        "object": float((best[:, 0] == labels).float().mean()),
        "top5": float((best == labels[:, None]).any(1).float().mean()),
        "change outside": float(np.mean(outside)),
        "background goes on": float(np.mean(seam)),
    }


def inpainting(
    painter: Painter, base: Painter, composer: Composer, judge: classifier.Classifier, number: int, cfg: float
) -> tuple[dict[str, Any], np.ndarray]:
    """One object put in the place of another, and a corner painted anew beside an object that must stay."""
    report, shown = {}, []
    for case, box in (("replaced", PLACE), ("kept", CORNER)):
        rows = _rows(number, len(case))
        before = np.stack([composer.draw(one) for one, _ in rows])
        wanted = [other if case == "replaced" else one for one, other in rows]
        masks = np.repeat(beside.boxed(box)[None], number, 0)
        fed, seeds = beside.mask_and_rest(painter.vae, before, masks), list(range(number))
        words, plain = painter.words([caption(s) for s in wanted]), base.words([caption(s) for s in wanted])
        made = painter.decoded(painter.walk(words, seeds, cfg=cfg, beside=fed))
        source = encode(base.vae, to_input(torch.from_numpy(before)))
        other = base.decoded(_latent_inpaint(base, plain, source, fed[:, :1], seeds, cfg))
        names = [scene.items[0].name for scene in wanted]
        report[f"{case}, sibling"] = _inpainting_marks(made, before, masks, names, judge)
        report[f"{case}, starter"] = _inpainting_marks(other, before, masks, names, judge)
        shown += [before[:8], made[:8], other[:8]]
    return report, np.concatenate(shown)


def _overlap(one: np.ndarray, other: np.ndarray) -> float:  # [H, W] bool each
    return float((one & other).sum() / max(1, (one | other).sum()))


def depth(
    painter: Painter, base: Painter, composer: Composer, number: int, cfg: float
) -> tuple[dict[str, float], np.ndarray]:
    """Overlap (intersection over union) of what is painted with the silhouettes that the depth map was made from."""
    rows = [s for stage in ("objects", "counts") for s in random.Random(4).sample(
        [s for s in scenes(stage) if s.held], number // 2)]  # fmt: skip
    outlines = [silhouettes(composer, scene) for scene in rows]
    maps = [depth_of(masks) for masks in outlines]
    fed, seeds = torch.stack([beside.depth_cells(m) for m in maps]), list(range(len(rows)))
    texts = [caption(scene) for scene in rows]
    made = painter.decoded(painter.walk(painter.words(texts), seeds, cfg=cfg, beside=fed))
    other = base.decoded(base.walk(base.words(texts), seeds, cfg=cfg))
    wanted = [np.any(masks, axis=0) for masks in outlines]
    # The same maps with captions of other things: the outline must come from the map, the colours from the text.
    shapes = ["a red circle on a white background", "a blue heart on a yellow background"]
    crossed = painter.decoded(painter.walk(painter.words(shapes * 2), seeds[:4], cfg=cfg, beside=fed[:4]))
    report = {
        "n": len(rows),
        "overlap, sibling": float(np.mean([_overlap(foreground(a), b) for a, b in zip(made, wanted)])),
        "overlap, starter": float(np.mean([_overlap(foreground(a), b) for a, b in zip(other, wanted)])),
        "overlap, text of something else": float(
            np.mean([_overlap(foreground(a), b) for a, b in zip(crossed, wanted)])
        ),
    }
    grey = np.stack([np.repeat(m[..., None], 3, 2) for m in maps])
    return report, np.concatenate([grey[:8], made[:8], other[:8], grey[-8:], made[-8:], other[-8:]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with sprites.npz and classifier.pt")
    parser.add_argument("--base", type=Path, required=True, help="the starter's checkpoint")
    parser.add_argument("--inpainting", type=Path)
    parser.add_argument("--depth", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="folder for siblings.json and the sheets")
    parser.add_argument("--number", type=int, default=16, help="prompts of each case, an even number")
    parser.add_argument("--cfg", type=float, default=4.0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    composer, base = Composer(Sprites(args.data / "sprites.npz")), Painter(args.base)
    target = args.out / "siblings.json"
    report: dict[str, Any] = json.loads(target.read_text()) if target.exists() else {}
    if args.inpainting:
        judge = classifier.load(args.data)
        report["inpainting"], pictures = inpainting(
            Painter(args.inpainting), base, composer, judge, args.number, args.cfg
        )
        sheet(pictures, 8, 96).save(args.out / "inpainting.png")
    if args.depth:
        report["depth"], pictures = depth(Painter(args.depth), base, composer, args.number, args.cfg)
        sheet(pictures, 8, 96).save(args.out / "depth.png")
    target.write_text(json.dumps(report, indent=1))
    Progress(args.out / "evaluate.log").say("siblings", **report)


if __name__ == "__main__":
    main()
