"""The training of the autoencoder: whole from nothing, or the decoder alone, which leaves every latent as it is.

The decoder alone goes by the squared error's logarithm and takes Muon's steps; minutes are then the processor's.

python -m starter.train_vae --data DATA --minutes 30 --decoder-only  # goes on from DATA/vae.safetensors
python -m starter.train_vae --data DATA --minutes 60 --fresh  # a new latent space
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch.nn import functional as F

from starter.checkpoint import load_vae, save_vae
from starter.models import build_vae, to_input
from starter.muon import Optimizers
from starter.progress import Progress
from starter.scene import Composer
from starter.sprites import Sprites
from starter.world import STAGES, scenes

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Options:
    """`crop`: side of the pieces in pixels; `divergence`: weight of the KL term.

    `pieces`: the share of a decoder's training in which it sees pieces with much detail; then whole pictures, because
    what a group norm divides by is another in a piece.
    """

    minutes: float
    crop: int = 128
    batch: int = 2
    rate: float = 3e-4
    divergence: float = 2e-5
    memory: float = 0.995
    seed: int = 0
    pieces: float = 0.65


def _edges(picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return picture[..., :, 1:] - picture[..., :, :-1], picture[..., 1:, :] - picture[..., :-1, :]


def picture_loss(shown: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:  # [B, 3, H, W] each
    """Absolute and squared error, the same for edges and for 4x4 means: sharp rims and right flat colours."""
    edges = sum((a - b).abs().mean() for a, b in zip(_edges(shown), _edges(wanted)))
    flat = (F.avg_pool2d(shown, 4) - F.avg_pool2d(wanted, 4)).abs().mean()
    return (shown - wanted).abs().mean() + 4 * F.mse_loss(shown, wanted) + 0.5 * edges + 0.5 * flat


def squares_loss(shown: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:  # [B, 3, H, W] each
    """What PSNR measures, so that no hard picture rules."""
    return ((shown - wanted).pow(2).mean((1, 2, 3)) + 5e-4).log().mean()


class Pieces:
    """Square pieces of scenes of all stages, drawn when asked for. One in three is a whole small picture."""

    def __init__(self, data: Path, crop: int, seed: int) -> None:
        self._composer, self._crop, self._rng = Composer(Sprites(data / "sprites.npz")), crop, random.Random(seed)
        self._scenes = [scene for stage in STAGES for scene in scenes(stage)]

    def draw(self, number: int) -> torch.Tensor:  # [B, 3, crop, crop]
        out = []
        for _ in range(number):
            scene, n = self._rng.choice(self._scenes), self._crop
            if self._rng.random() < 1 / 3:
                out.append(self._composer.draw(scene, n))
                continue
            picture = self._composer.draw(scene)
            top, left = (self._rng.randrange(0, picture.shape[0] - n + 1, 8) for _ in range(2))
            out.append(picture[top : top + n, left : left + n])
        return to_input(torch.from_numpy(np.stack(out))).contiguous(memory_format=torch.channels_last)

    def telling(self, number: int) -> torch.Tensor:  # [B, 3, crop, crop]
        """Of three pieces of a picture the one with most detail; no combination that is held out."""
        rng, n, out = self._rng, self._crop, []
        for _ in range(number):
            picture = self._shown()
            corners = [[rng.randrange(0, length - n + 1, 8) for length in picture.shape[:2]] for _ in range(3)]
            pieces = [picture[top : top + n, left : left + n] for top, left in corners]
            out.append(max(pieces, key=lambda piece: float(piece.std())))
        return to_input(torch.from_numpy(np.stack(out))).contiguous(memory_format=torch.channels_last)

    def whole(self) -> torch.Tensor:  # [1, 3, 256, 256]
        return to_input(torch.from_numpy(self._shown()[None])).contiguous(memory_format=torch.channels_last)

    def _shown(self) -> np.ndarray:
        return self._composer.draw(self._rng.choice([scene for scene in self._scenes if not scene.held]))


def _forward(vae: AutoencoderKL, pictures: torch.Tensor, measure: Loss) -> tuple[torch.Tensor, torch.Tensor]:
    """Reconstruction loss and KL term; the decoder sees a sample of the latents."""
    with torch.autocast(pictures.device.type, torch.bfloat16):
        moments = vae.quant_conv(vae.encoder(pictures)).float()
    mean, log_variance = moments.chunk(2, 1)
    log_variance = log_variance.clamp(-20, 10)
    latents = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
    with torch.autocast(pictures.device.type, torch.bfloat16):
        shown = vae.decoder(vae.post_quant_conv(latents))
    divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).mean()
    return measure(shown.float(), pictures), divergence


def train(vae: AutoencoderKL, pieces: Pieces, options: Options, progress: Progress, save: Path) -> None:
    """Trains for the options' minutes with the rate falling to nothing; saves the average every four minutes."""
    torch.manual_seed(options.seed)
    vae.train()
    parameters = list(vae.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=options.rate, betas=(0.9, 0.98), weight_decay=1e-4, fused=True)
    average, limit = [p.detach().clone() for p in parameters], options.minutes * 60
    begun = saved = time.monotonic()
    step, total = 0, 0.0
    while (passed := time.monotonic() - begun) < limit:
        slept = progress.wait_while_paused()
        begun, saved = begun + slept, saved + slept
        for group in optimizer.param_groups:
            group["lr"] = options.rate * min(1, (step + 1) / 60) * (1 - 0.98 * passed / limit)
        loss, divergence = _forward(vae, pieces.draw(options.batch).to(vae.device), picture_loss)
        optimizer.zero_grad()
        (loss + options.divergence * divergence).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        step, total = step + 1, total + float(loss.detach())
        torch._foreach_lerp_(
            average, [p.detach() for p in parameters], 1 - min(options.memory, (1 + step) / (10 + step))
        )
        progress.every(30, "autoencoder", step=step, loss=total / step, kl=float(divergence.detach()))
        if time.monotonic() - saved > 240:
            _save(vae, parameters, average, save)
            saved = time.monotonic()
    _save(vae, parameters, average, save)


def train_decoder(vae: AutoencoderKL, pieces: Pieces, options: Options, progress: Progress, save: Path) -> None:
    """The decoder alone, for the options' minutes of the processor, rate falling to nothing; saves the average."""
    torch.manual_seed(options.seed)
    vae.train().requires_grad_(False)
    parameters = [p for part in (vae.decoder, vae.post_quant_conv) for p in part.requires_grad_(True).parameters()]
    optimizers, average = Optimizers(vae), [p.detach().clone() for p in parameters]
    begun, limit, saved, step, total = time.process_time(), options.minutes * 60, 0.0, 0, 0.0
    while (passed := time.process_time() - begun) < limit:
        progress.wait_while_paused()
        shown = pieces.telling(options.batch) if passed < options.pieces * limit else pieces.whole()
        loss, _ = _forward(vae, shown.to(vae.device), squares_loss)
        optimizers.step(loss, options.rate * min(1, (step + 1) / 40) * (1 - passed / limit))
        step, total = step + 1, total + float(loss.detach())
        kept = min(options.memory, (1 + step) / (10 + step))
        torch._foreach_lerp_(average, [p.detach() for p in parameters], 1 - kept)
        progress.every(30, "decoder", step=step, loss=total / step)
        if passed - saved > 60:
            _save(vae, parameters, average, save)
            saved = passed
    _save(vae, parameters, average, save)


def _save(vae: AutoencoderKL, parameters: list[torch.nn.Parameter], average: list[torch.Tensor], path: Path) -> None:
    kept = [p.detach().clone() for p in parameters]
    with torch.no_grad():
        for p, mean in zip(parameters, average):
            p.copy_(mean)
        save_vae(path, vae)
        for p, value in zip(parameters, kept):
            p.copy_(value)


@torch.no_grad()
def whiten(vae: AutoencoderKL, latents: torch.Tensor, scale: float = 0.18215) -> None:
    """Folds a ZCA whitening into both 1x1 convolutions, so that `scale` gives latents of mean 0 and variance 1.

    `latents` [N, 4, h, w]: unscaled means of many pictures. Needed once, after a fresh training.
    """
    flat = latents.permute(0, 2, 3, 1).reshape(-1, 4).double()
    mean = flat.mean(0)
    values, vectors = torch.linalg.eigh((flat - mean).T @ (flat - mean) / len(flat))
    white = vectors @ torch.diag(values.rsqrt()) @ vectors.T / scale
    back = vectors @ torch.diag(values.sqrt()) @ vectors.T * scale
    quant, post = vae.quant_conv, vae.post_quant_conv
    weight, bias = quant.weight.double()[:, :, 0, 0].clone(), quant.bias.double().clone()
    weight[:4], bias[:4] = white @ weight[:4], white @ (bias[:4] - mean)
    bias[4:] += 2 * torch.log(white.norm(dim=1))
    quant.weight.copy_(weight[:, :, None, None])
    quant.bias.copy_(bias)
    old = post.weight.double()[:, :, 0, 0].clone()
    post.weight.copy_((old @ back)[:, :, None, None])
    post.bias.copy_(post.bias.double() + old @ mean)


def _whiten_with(vae: AutoencoderKL, pieces: Pieces) -> None:
    vae.eval()
    with torch.no_grad():
        latents = torch.cat([vae.quant_conv(vae.encoder(pieces.draw(8).to(vae.device)))[:, :4] for _ in range(64)])
    whiten(vae, latents)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with sprites.npz; vae.safetensors is read and written there"
    )
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rate", type=float, help="default: 2e-4 for the decoder, 3e-4 for the whole")
    parser.add_argument("--crop", type=int, default=Options.crop)
    parser.add_argument("--batch", type=int, default=Options.batch)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, help="default: DATA/vae.safetensors")
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--decoder-only", action="store_true")
    kind.add_argument("--fresh", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    target = args.out or args.data / "vae.safetensors"
    vae = build_vae().to(memory_format=torch.channels_last) if args.fresh else load_vae(args.data / "vae.safetensors")
    vae.to(args.device)
    pieces = Pieces(args.data, args.crop, args.seed)
    rate = args.rate or (2e-4 if args.decoder_only else Options.rate)
    options = Options(args.minutes, args.crop, args.batch, rate, seed=args.seed)
    work = train_decoder if args.decoder_only else train
    work(vae, pieces, options, Progress(args.data / "vae.log"), target)
    if args.fresh:
        _whiten_with(vae, pieces)
        save_vae(target, vae)


if __name__ == "__main__":
    main()
