"""The training of an upscaler on renders that were made small and a little worse, and its PSNR beside Lanczos.

python -m starter.train_upscaler --data DATA --scale 4 --out models/ESRGAN/atelier-4x.safetensors --minutes 15
"""

from __future__ import annotations

import argparse
import io
import random
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch.nn import functional as F

from starter import upscaler
from starter.progress import Progress
from starter.scene import Composer, Scene
from starter.sprites import Sprites
from starter.upscaler import Upscaler
from starter.world import STAGES, scenes

_WAYS = (Image.Resampling.BOX, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS, Image.Resampling.BILINEAR)


@dataclass(frozen=True)
class Options:
    """`side`: of a large training piece in pixels; `pieces`: how many are cut from each picture that is drawn."""

    minutes: float
    scale: int
    side: int = 96
    batch: int = 8
    pieces: int = 4
    rate: float = 1e-3
    memory: float = 0.995
    seed: int = 0


def smaller(picture: Image.Image, scale: int, rng: random.Random | None = None) -> Image.Image:
    """The picture at 1/scale; with `rng` in one of several ways, at times blurred, noisy or after JPEG."""
    size = (picture.width // scale, picture.height // scale)
    if rng is None:
        return picture.resize(size, Image.Resampling.BICUBIC)
    if rng.random() < 0.2:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 0.25 * scale)))
    small = picture.resize(size, rng.choice(_WAYS))
    if rng.random() < 0.2:
        noise = np.random.default_rng(rng.randrange(2**32)).normal(0, rng.uniform(1, 5), (*size[::-1], 3))
        small = Image.fromarray((np.asarray(small) + noise).clip(0, 255).astype(np.uint8))
    if rng.random() < 0.3:
        file = io.BytesIO()
        small.save(file, "JPEG", quality=rng.randint(60, 95))
        small = Image.open(file).convert("RGB")
    return small


class Pieces:
    """Small and large pieces of scenes of all stages, drawn when asked for."""

    def __init__(self, data: Path, options: Options) -> None:
        self._composer, self._rng = Composer(Sprites(data / "sprites.npz")), random.Random(options.seed)
        rows = [scene for stage in STAGES for scene in scenes(stage)]
        self._trained = [scene for scene in rows if not scene.held]
        self.held = random.Random(3).sample([scene for scene in rows if scene.held], 32)
        self._options = options

    def picture(self, scene: Scene) -> Image.Image:
        return Image.fromarray(self._composer.draw(scene))

    def draw(self) -> tuple[torch.Tensor, torch.Tensor]:  # [B, 3, h, w], [B, 3, scale*h, scale*w] in 0..1
        o, small, large = self._options, [], []
        for _ in range(o.batch // o.pieces):
            picture = self.picture(self._rng.choice(self._trained))
            less = np.asarray(smaller(picture, o.scale, self._rng))
            whole, n = np.asarray(picture), o.side // o.scale
            for _ in range(o.pieces):
                y, x = (self._rng.randrange(0, less.shape[0] - n + 1, 4 // o.scale) for _ in range(2))
                small.append(less[y : y + n, x : x + n])
                large.append(whole[y * o.scale : (y + n) * o.scale, x * o.scale : (x + n) * o.scale])
        return tuple(torch.from_numpy(np.stack(rows)).permute(0, 3, 1, 2).float() / 255 for rows in (small, large))


def train(network: Upscaler, pieces: Pieces, options: Options, progress: Progress) -> None:
    """Mean absolute error, rate falling to nothing; leaves the running average in `network`."""
    network.to(memory_format=torch.channels_last).train()
    parameters = list(network.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=options.rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    average, limit = [p.detach().clone() for p in parameters], options.minutes * 60
    begun, step, total = time.monotonic(), 0, 0.0
    while (passed := time.monotonic() - begun) < limit:
        begun += progress.wait_while_paused()
        for group in optimizer.param_groups:
            group["lr"] = options.rate * min(1, (step + 1) / 100) * (1 - 0.98 * passed / limit)
        small, large = pieces.draw()
        with torch.autocast("cpu", torch.bfloat16):
            made = network(small.contiguous(memory_format=torch.channels_last))
        loss = F.l1_loss(made.float(), large)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        step, total = step + 1, total + float(loss.detach())
        decay = min(options.memory, (1 + step) / (10 + step))
        torch._foreach_lerp_(average, [p.detach() for p in parameters], 1 - decay)
        progress.every(30, f"upscaler {options.scale}x", step=step, loss=total / step)
    with torch.no_grad():
        for p, mean in zip(parameters, average):
            p.copy_(mean)
    network.eval()


def _psnr(one: np.ndarray, other: np.ndarray) -> float:
    error = float(((one.astype(float) - other.astype(float)) ** 2).mean())
    return 10 * float(np.log10(255**2 / max(error, 1e-3)))


def measure(network: Upscaler, pieces: Pieces, scale: int) -> dict[str, float]:
    """PSNR in dB, mean over 32 held-out scenes: made small by bicubic, and made small and worse."""
    rows: dict[str, list[float]] = {"network": [], "Lanczos": [], "network, worse": [], "Lanczos, worse": []}
    for i, scene in enumerate(pieces.held):
        picture = pieces.picture(scene)
        for suffix, rng in (("", None), (", worse", random.Random(i))):
            small = smaller(picture, scale, rng)
            large = np.asarray(small.resize(picture.size, Image.Resampling.LANCZOS))
            rows["network" + suffix].append(_psnr(network.enlarge(np.asarray(small)[None])[0], np.asarray(picture)))
            rows["Lanczos" + suffix].append(_psnr(large, np.asarray(picture)))
    return {name: float(np.mean(values)) for name, values in rows.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with sprites.npz")
    parser.add_argument("--scale", type=int, choices=(2, 4), required=True)
    parser.add_argument("--out", type=Path, required=True, help="the file; one that is there is trained on")
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--rate", type=float, default=Options.rate, help="less for a file that is trained on")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(args.seed)
    options = Options(args.minutes, args.scale, rate=args.rate, seed=args.seed)
    progress, pieces = Progress(args.data / "upscaler.log"), Pieces(args.data, options)
    network = upscaler.load(args.out) if args.out.exists() else Upscaler(args.scale)
    if args.minutes:
        train(network, pieces, options, progress)
        progress.say("saved", file=args.out.name, megabytes=upscaler.save(args.out, network) / 1e6)
    progress.say(f"PSNR {args.scale}x", **measure(upscaler.load(args.out), pieces, args.scale))


if __name__ == "__main__":
    main()
