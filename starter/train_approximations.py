"""The training of the autoencoder's stand-ins on the latents that are encoded already, and what they are worth.

python -m starter.train_approximations --data DATA --out models/VAE-approx --minutes 20
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from starter import approximations as approx
from starter import latents as store
from starter.checkpoint import load_vae
from starter.models import decode, to_input
from starter.progress import Progress
from starter.scene import Composer, Scene
from starter.sprites import Sprites
from starter.train_vae import picture_loss

NAME = "atelier-starter"
STAGES = ("objects", "shapes", "concepts", "counts", "pairs", "tints")


@dataclass(frozen=True)
class Options:
    """`cells`: side of a training piece in latent cells; `share`: of the time that goes to the decoder."""

    minutes: float
    cells: int = 12
    batch: int = 8
    rate: float = 1.5e-3
    width: int = approx.WIDTH
    share: float = 0.65
    memory: float = 0.995
    seed: int = 0


class Pairs:
    """Latents and the pictures that they were encoded from, in pieces or whole."""

    def __init__(self, data: Path, stages: Sequence[str], seed: int) -> None:
        self._rng, self._composer = random.Random(seed), Composer(Sprites(data / "sprites.npz"))
        rows: list[tuple[Scene, torch.Tensor]] = []
        for stage in stages:
            if (data / "latents" / stage).exists():
                scenes, latents = store.load(data, stage)
                rows.extend(zip(scenes, latents))
        self._trained = [row for row in rows if not row[0].held]
        self._held = [row for row in rows if row[0].held]

    def _both(self, rows: Sequence[tuple[Scene, torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
        pictures = np.stack([self._composer.draw(scene) for scene, _ in rows])
        return torch.stack([latents for _, latents in rows]), to_input(torch.from_numpy(pictures))

    def whole(self, number: int, held: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
        """Latents [B, 4, 32, 32] and pictures [B, 3, 256, 256] in -1..1; always the same rows."""
        rows = self._held if held else self._trained
        return self._both(random.Random(3).sample(rows, min(number, len(rows))))

    def pieces(self, number: int, cells: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Three pieces of each picture that is drawn: drawing one costs as much as learning from it."""
        latents, pictures = self._both(self._rng.sample(self._trained, -(-number // 3)))
        parts, shown = [], []
        for i in range(number):
            y, x = (self._rng.randrange(latents.shape[-1] - cells + 1) for _ in range(2))
            parts.append(latents[i // 3, :, y : y + cells, x : x + cells])
            shown.append(pictures[i // 3, :, 8 * y : 8 * (y + cells), 8 * x : 8 * (x + cells)])
        return torch.stack(parts), torch.stack(shown)


def _train(network: torch.nn.Module, pairs: Pairs, options: Options, seconds: float, progress: Progress) -> None:
    """Trains for `seconds` and leaves the running average in `network`. A decoder learns pictures, else latents."""
    decodes = isinstance(network, approx.TinyDecoder)
    network.to(memory_format=torch.channels_last).train()
    parameters = list(network.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=options.rate, betas=(0.9, 0.98), weight_decay=1e-4, fused=True)
    average, begun, step, total = [p.detach().clone() for p in parameters], time.monotonic(), 0, 0.0
    while (passed := time.monotonic() - begun) < seconds:
        begun += progress.wait_while_paused()
        for group in optimizer.param_groups:
            group["lr"] = options.rate * min(1, (step + 1) / 100) * (1 - 0.98 * passed / seconds)
        latents, pictures = pairs.pieces(options.batch, options.cells)
        source = latents if decodes else (pictures + 1) / 2
        with torch.autocast("cpu", torch.bfloat16):
            made = network(source.contiguous(memory_format=torch.channels_last)).float()
        loss = picture_loss(made * 2 - 1, pictures) if decodes else F.smooth_l1_loss(made, latents, beta=0.2)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        step, total = step + 1, total + float(loss.detach())
        decay = min(options.memory, (1 + step) / (10 + step))
        torch._foreach_lerp_(average, [p.detach() for p in parameters], 1 - decay)
        progress.every(30, "decoder" if decodes else "encoder", step=step, loss=total / step)
    with torch.no_grad():
        for p, mean in zip(parameters, average):
            p.copy_(mean)
    network.eval()


def psnr(one: torch.Tensor, other: torch.Tensor) -> float:  # [B, 3, H, W] in -1..1 each
    """Mean over the pictures, in dB."""
    errors = (one.float().clamp(-1, 1) - other.float()).pow(2).mean((1, 2, 3)).clamp_min(1e-9)
    return float((10 * torch.log10(4 / errors)).mean())


@torch.no_grad()
def measure(folder: Path, data: Path, pairs: Pairs, number: int = 24) -> dict[str, float]:
    """PSNR in dB on held-out scenes; seconds for one picture of 256 pixels on one core beside the real decoder's."""
    latents, pictures = pairs.whole(number)
    vae = load_vae(data / "vae.safetensors")
    begun = time.monotonic()
    with torch.autocast("cpu", torch.bfloat16):
        real = torch.cat([decode(vae, part) for part in latents.split(4)])
    real_seconds = (time.monotonic() - begun) / len(latents)
    real = to_input(real)
    decoder = approx.load_network(folder / f"{NAME}-taesd_decoder.safetensors", approx.TinyDecoder)
    encoder = approx.load_network(folder / f"{NAME}-taesd_encoder.safetensors", approx.TinyEncoder)
    begun = time.monotonic()
    with torch.autocast("cpu", torch.bfloat16):
        tiny = torch.cat([decoder(part.contiguous(memory_format=torch.channels_last)) for part in latents.split(4)])
        tiny_seconds = (time.monotonic() - begun) / len(latents)
        guessed = torch.cat([encoder((part + 1) / 2) for part in pictures.split(4)]).float()
        back = torch.cat([decode(vae, part) for part in guessed.split(4)])
    matrix = load_file(folder / f"{NAME}-rgb.safetensors")
    cheap = approx.apply_matrix(latents, matrix["weight"].float(), matrix["bias"].float())
    return {
        "real decoder to renders": psnr(real, pictures),
        "tiny decoder to real decoder": psnr(tiny * 2 - 1, real),
        "tiny decoder to renders": psnr(tiny * 2 - 1, pictures),
        "matrix to means of real decoder": psnr(cheap, F.avg_pool2d(real, 8)),
        "tiny encoder then real decoder to renders": psnr(to_input(back), pictures),
        "tiny encoder error of latents": float((guessed - latents).pow(2).mean() / latents.var()),
        "seconds real": real_seconds,
        "seconds tiny": tiny_seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with sprites.npz, latents/, vae.safetensors")
    parser.add_argument("--out", type=Path, required=True, help="folder of the three files")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--width", type=int, default=Options.width)
    parser.add_argument("--measure-only", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    options = Options(args.minutes, width=args.width)
    progress, pairs = Progress(args.data / "approximations.log"), Pairs(args.data, STAGES, options.seed)
    if not args.measure_only:
        weight, bias = approx.fit_matrix(*pairs.whole(96, held=False))
        approx.save(args.out / f"{NAME}-rgb.safetensors", {"weight": weight, "bias": bias}, NAME)
        networks = (("decoder", approx.TinyDecoder, options.share), ("encoder", approx.TinyEncoder, 1 - options.share))
        for part, kind, share in networks:
            network = kind(options.width)
            _train(network, pairs, options, 60 * options.minutes * share, progress)
            size = approx.save(args.out / f"{NAME}-taesd_{part}.safetensors", network.state_dict(), NAME)
            progress.say("saved", part=part, megabytes=size / 1e6)
    progress.say("approximations", **measure(args.out, args.data, pairs))


if __name__ == "__main__":
    main()
