"""What the siblings of the starter are fed beside the latents: a mask with the rest of the picture, or a depth map.

python -m starter.beside --data DATA --kind inpainting --stage objects
"""

from __future__ import annotations

import argparse
import math
import random
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image, ImageDraw
from torch.nn import functional as F

from starter.annotations import depth_of, silhouettes
from starter.checkpoint import load_vae
from starter.models import encode, to_input
from starter.progress import Progress
from starter.scene import CANVAS, Composer, Scene
from starter.sprites import Sprites
from starter.world import STAGES, scenes

CHANNELS = MappingProxyType({"inpainting": 5, "depth": 1})
"""Kind of sibling to its further input channels. Inpainting: the mask, then the latents of what is not masked."""
_CELLS = CANVAS // 8


def depth_cells(depth: np.ndarray) -> torch.Tensor:  # [H, W] uint8 -> [1, h, w]
    """The depth map at the size of the latents, its farthest point at -1 and its nearest at 1, as the product does."""
    small = F.interpolate(torch.from_numpy(depth.astype(np.float32))[None, None], (_CELLS, _CELLS), mode="bicubic")[0]
    return 2 * (small - small.min()) / (small.max() - small.min()).clamp_min(1e-6) - 1


def boxed(box: tuple[int, int, int, int]) -> np.ndarray:  # [H, W] bool
    mask = np.zeros((CANVAS, CANVAS), bool)
    mask[max(0, box[1]) : box[3], max(0, box[0]) : box[2]] = True
    return mask


def _strokes(rng: random.Random) -> np.ndarray:  # [H, W] bool
    """What a person paints: a few thick lines."""
    page = Image.new("L", (CANVAS, CANVAS))
    pen = ImageDraw.Draw(page)
    for _ in range(rng.randint(1, 3)):
        x, y, angle = rng.uniform(30, 226), rng.uniform(30, 226), rng.uniform(0, 2 * math.pi)
        points, width = [(x, y)], rng.randint(24, 64)
        for _ in range(rng.randint(1, 4)):
            angle += rng.uniform(-1.2, 1.2)
            x, y = x + rng.uniform(30, 80) * math.cos(angle), y + rng.uniform(30, 80) * math.sin(angle)
            points.append((x, y))
        pen.line(points, fill=255, width=width, joint="curve")
        for px, py in points:
            pen.ellipse((px - width / 2, py - width / 2, px + width / 2, py + width / 2), fill=255)
    return np.asarray(page) > 127


def draw_mask(composer: Composer, scene: Scene, rng: random.Random) -> np.ndarray:  # [H, W] bool, True: painted anew
    """The place of one thing with a margin, strokes, a box anywhere, or everything."""
    draw = rng.random()
    if draw < 0.45:
        ys, xs = np.nonzero(rng.choice(silhouettes(composer, scene)))
        margins = [rng.randint(4, 24) for _ in range(4)]
        if len(ys):
            box = (xs.min() - margins[0], ys.min() - margins[1], xs.max() + margins[2], ys.max() + margins[3])
            return boxed(tuple(int(side) for side in box))
    if draw < 0.75:
        return _strokes(rng)
    if draw < 0.9:
        left, top = rng.randint(0, 150), rng.randint(0, 150)
        return boxed((left, top, left + rng.randint(60, 160), top + rng.randint(60, 160)))
    return np.ones((CANVAS, CANVAS), bool)


def mask_and_rest(vae: AutoencoderKL, pictures: np.ndarray, masks: np.ndarray) -> torch.Tensor:
    """Pictures [B, H, W, 3] uint8, masks [B, H, W] bool -> [B, 5, h, w]; the masked part is grey when encoded."""
    mask = torch.from_numpy(masks.astype(np.float32))[:, None]
    shown = to_input(torch.from_numpy(pictures)) * (1 - mask)
    with torch.autocast("cpu", torch.bfloat16):
        return torch.cat([F.interpolate(mask, (_CELLS, _CELLS)), encode(vae, shown)], 1)


def _file(data: Path, kind: str, stage: str) -> Path:
    return data / "beside" / kind / f"{stage}.pt"


def build(data: Path, kind: str, stage: str) -> None:
    """For every scene of the stage; the same masks each time. A file that is there is left alone."""
    target = _file(data, kind, stage)
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    progress, composer, rng = (
        Progress(data / "beside.log"),
        Composer(Sprites(data / "sprites.npz")),
        random.Random(stage),
    )
    rows, parts = scenes(stage), []
    vae = load_vae(data / "vae.safetensors") if kind == "inpainting" else None
    for i in range(0, len(rows), 8):
        progress.wait_while_paused()
        part = rows[i : i + 8]
        if vae is None:
            parts.append(torch.stack([depth_cells(depth_of(silhouettes(composer, scene))) for scene in part]))
        else:
            masks = np.stack([draw_mask(composer, scene, rng) for scene in part])
            parts.append(mask_and_rest(vae, np.stack([composer.draw(scene) for scene in part]), masks))
        progress.every(30, "beside", kind=kind, stage=stage, done=i, of=len(rows))
    torch.save(torch.cat(parts).half(), target)


def load(data: Path, kind: str, stage: str) -> torch.Tensor:  # [N, c, h, w]
    """Raises FileNotFoundError when the stage is not built."""
    path = _file(data, kind, stage)
    if not path.exists():
        command = f"python -m starter.beside --data {data} --kind {kind} --stage {stage}"
        raise FileNotFoundError(f"{path} is missing; run: {command}")
    return torch.load(path).float()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with sprites.npz and vae.safetensors")
    parser.add_argument("--kind", choices=sorted(CHANNELS), required=True)
    parser.add_argument("--stage", choices=sorted(STAGES), required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    build(args.data, args.kind, args.stage)


if __name__ == "__main__":
    main()
