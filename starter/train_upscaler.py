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
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import ArrayLike
from PIL import Image, ImageFilter

from starter import upscaler
from starter.muon import Optimizers
from starter.progress import Progress
from starter.scene import Composer, Scene
from starter.sprites import Sprites
from starter.upscaler import Upscaler
from starter.world import STAGES, scenes

HELD = 16
SIDES = MappingProxyType({2: 28, 4: 20})
"""Of small pieces, so that both scales take the same time."""
_WAYS = (Image.Resampling.BOX, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS, Image.Resampling.BILINEAR)


@dataclass(frozen=True)
class Options:
    """`minutes` of the processor; `side` of a small piece in pixels; `pieces`: how many are cut from each picture.

    `rim`: pixels at the sides of a piece that are not counted, because the network cannot see what lies beyond.
    """

    minutes: float
    scale: int
    side: int = 24
    batch: int = 8
    pieces: int = 4
    rim: int = 3
    rate: float = 3e-4
    memory: float = 0.99
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
        self.held = random.Random(3).sample([scene for scene in rows if scene.held], HELD)
        self._options = options

    def picture(self, scene: Scene) -> Image.Image:
        return Image.fromarray(self._composer.draw(scene))

    def _corner(self, small: np.ndarray) -> tuple[int, int]:
        """Of three pieces the one with most detail. One in three lies at the picture's edge, where padding tells."""
        side, corners = self._options.side, []
        for _ in range(3):
            room = [length - side for length in small.shape[:2]]
            corners.append(tuple(max(0, min(n, self._rng.randint(-n // 5, n + n // 5))) for n in room))
        return max(corners, key=lambda at: float(small[at[0] : at[0] + side, at[1] : at[1] + side].std()))

    def draw(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Small pieces [B, 3, h, w] and large ones [B, 3, sh, sw] in 0..1, and where these count [B, 1, sh, sw]."""
        o, rows = self._options, []
        for _ in range(o.batch // o.pieces):
            picture = self.picture(self._rng.choice(self._trained))
            small = np.asarray(smaller(picture, o.scale, self._rng if self._rng.random() < 0.5 else None))
            counts = np.zeros(small.shape[:2], np.uint8)
            for _ in range(o.pieces):
                top, left = self._corner(small)
                here = np.s_[top : top + o.side, left : left + o.side]
                counts[:] = 0
                counts[_inner(top, o.side, o.rim, len(counts)), _inner(left, o.side, o.rim, counts.shape[1])] = 1
                grown = counts[here].repeat(o.scale, 0).repeat(o.scale, 1)
                large = np.asarray(picture)[tuple(slice(s.start * o.scale, s.stop * o.scale) for s in here)]
                rows.append((small[here] / 255, large / 255, grown[..., None]))
        return tuple(torch.from_numpy(np.stack(part)).permute(0, 3, 1, 2).float() for part in zip(*rows))


def _inner(start: int, side: int, rim: int, end: int) -> slice:
    """The piece without its rim, but with it where it is the picture's own edge."""
    return slice(start + (rim if start else 0), start + side - (rim if start + side < end else 0))


def loss_of(made: torch.Tensor, wanted: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
    """Mean over pieces of the logarithm of the squared error: what PSNR measures, so that no hard piece rules."""
    squares = ((made - wanted) ** 2 * counted).sum((1, 2, 3)) / (3 * counted.sum((1, 2, 3)))
    return (squares + 1e-4).log().mean()


def train(network: Upscaler, pieces: Pieces, options: Options, progress: Progress, save: Path | None = None) -> None:
    """For the options' minutes of the processor, rate falling to nothing; leaves the running average in `network`."""
    network.to(memory_format=torch.channels_last).train()
    parameters = list(network.parameters())
    optimizers = Optimizers(network, ("body", "conv_body"))
    average, limit = [p.detach().clone() for p in parameters], options.minutes * 60
    begun, step, total, number, saved = time.process_time(), 0, 0.0, 0, 0.0
    while (passed := time.process_time() - begun) < limit:
        progress.wait_while_paused()
        small, large, counted = pieces.draw()
        with torch.autocast("cpu", torch.bfloat16):
            made = network(small.contiguous(memory_format=torch.channels_last))
        loss = loss_of(made.float(), large, counted)
        optimizers.step(loss, options.rate * min(1, (step + 1) / 50) * (1 - passed / limit))
        step, total, number = step + 1, total + float(loss.detach()), number + 1
        decay = min(options.memory, (1 + step) / (10 + step))
        torch._foreach_lerp_(average, [p.detach() for p in parameters], 1 - decay)
        if progress.every(30, f"upscaler {options.scale}x", step=step, spent=passed, loss=total / number):
            total, number = 0.0, 0
        if save and passed - saved > 60:
            saved = passed
            upscaler.save(save, network, average)
    with torch.no_grad():
        for p, mean in zip(parameters, average):
            p.copy_(mean)
    network.eval()


def psnr(one: ArrayLike, other: ArrayLike) -> float:
    error = float(((np.asarray(one, float) - np.asarray(other, float)) ** 2).mean())
    return 10 * float(np.log10(255**2 / max(error, 1e-3)))


def measure(network: Upscaler, pieces: Pieces, scale: int) -> dict[str, float]:
    """PSNR in dB, mean over 32 held-out scenes: made small by bicubic, and made small and worse."""
    rows: dict[str, list[float]] = {"network": [], "Lanczos": [], "network, worse": [], "Lanczos, worse": []}
    for i, scene in enumerate(pieces.held):
        picture = pieces.picture(scene)
        for suffix, rng in (("", None), (", worse", random.Random(i))):
            small = smaller(picture, scale, rng)
            large = np.asarray(small.resize(picture.size, Image.Resampling.LANCZOS))
            rows["network" + suffix].append(psnr(network.enlarge(np.asarray(small)[None])[0], np.asarray(picture)))
            rows["Lanczos" + suffix].append(psnr(large, np.asarray(picture)))
    return {name: float(np.mean(values)) for name, values in rows.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with sprites.npz")
    parser.add_argument("--scale", type=int, choices=(2, 4), required=True)
    parser.add_argument("--out", type=Path, required=True, help="the file; one that is there is trained on")
    parser.add_argument("--minutes", type=float, default=15.0, help="of the processor")
    parser.add_argument("--rate", type=float, default=Options.rate, help="less for a file that is trained on")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(args.seed)
    options = Options(args.minutes, args.scale, SIDES[args.scale], rate=args.rate, seed=args.seed)
    progress, pieces = Progress(args.data / "upscaler.log"), Pieces(args.data, options)
    network = upscaler.load(args.out) if args.out.exists() else Upscaler(args.scale)
    if args.minutes:
        train(network, pieces, options, progress, args.out)
        progress.say("saved", file=args.out.name, megabytes=upscaler.save(args.out, network) / 1e6)
    progress.say(f"PSNR {args.scale}x", **measure(upscaler.load(args.out), pieces, args.scale))


if __name__ == "__main__":
    main()
