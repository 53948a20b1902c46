"""Pictures from sentences with a checkpoint of the starter: Euler, guidance, negative prompt, weights in brackets.

    python -m starter.sampling --checkpoint FILE.safetensors --out OUT.png "a panda" "a red circle"

This small sampler is for training and measuring; the product's own pipeline is what users run.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

from starter import checkpoint, layout
from starter.gap import clean_guess
from starter.models import alphas_cumprod, build_text, build_unet, decode, encode, to_input
from starter.tokens import END, LENGTH, START, VOCABULARY, Tokens, emphasised


class Painter:
    """A loaded checkpoint that paints."""

    def __init__(self, path: Path, side: int | None = None) -> None:
        """`side`: pictures' side in pixels; the yaml's own size when left out."""
        file, self.shape = load_file(path), checkpoint.shape_of(path)
        self.latent_side = side // 8 if side else self.shape.size
        self.unet, self.text, self.vae = build_unet(self.shape), build_text(VOCABULARY), checkpoint.load_vae(path)
        self.unet.load_state_dict(layout.unet_from_ldm(file, self.unet.state_dict()))
        everything = torch.arange(VOCABULARY)
        self.text.load_state_dict(layout.text_from_ldm(file, self.text.state_dict(), everything), strict=False)
        self.unet.eval()
        self.text.eval()
        self.tokens = Tokens()
        self._alphas = alphas_cumprod()

    @torch.no_grad()
    def embed(self, prompt: str) -> torch.Tensor:  # [1, 77, 128]
        return emphasised(self.text(self.tokens([prompt])).last_hidden_state, self.tokens.weights([prompt]))

    def rows(self, pieces: Sequence[Sequence[int]]) -> torch.Tensor:  # [B, 77]
        """Token numbers without start and end, made into whole rows."""
        cut = [[START, *row][: LENGTH - 1] for row in pieces]
        return torch.tensor([row + [END] * (LENGTH - len(row)) for row in cut])

    def noise(self, seeds: Sequence[int]) -> torch.Tensor:  # [B, 4, h, w]
        size = (1, 4, self.latent_side, self.latent_side)
        return torch.cat([torch.randn(size, generator=torch.Generator().manual_seed(seed)) for seed in seeds])

    @torch.no_grad()
    def walk(
        self,
        words: torch.Tensor,
        seeds: Sequence[int],
        steps: int = 20,
        cfg: float = 4.0,
        source: torch.Tensor | None = None,
        strength: float = 1.0,
        beside: torch.Tensor | None = None,
    ) -> torch.Tensor:  # words [2B, 77, 128], negative prompts first; beside [B, c, h, w] -> [B, 4, h, w]
        """Euler steps in sigma space over evenly spaced times. With `source`, the last `strength` of the way only.

        `beside`: what a sibling is fed behind the latents.
        """
        times = torch.linspace(999, 0, steps + 1).round().long()[:-1]
        times = times[steps - max(1, round(steps * strength)) :]
        alphas = torch.cat([self._alphas[times], torch.ones(1)])
        x = self.noise(seeds)
        if source is not None:
            x = alphas[0].sqrt() * source + (1 - alphas[0]).sqrt() * x
        for i, time in enumerate(times):
            fed = x if beside is None else torch.cat([x, beside], 1)
            with torch.autocast("cpu", torch.bfloat16):
                twice = torch.cat([fed, fed]).contiguous(memory_format=torch.channels_last)
                output = self.unet(twice, time.expand(len(twice)), words).sample.float()
            plain, named = output.chunk(2)
            clean = clean_guess(plain + cfg * (named - plain), x, alphas[i])
            noise = (x - alphas[i].sqrt() * clean) / (1 - alphas[i]).sqrt()
            x = alphas[i + 1].sqrt() * clean + (1 - alphas[i + 1]).sqrt() * noise
        return x

    def words(self, prompts: Sequence[str], negatives: Sequence[str] | None = None) -> torch.Tensor:
        """What `walk` takes: [2B, 77, 128]."""
        return torch.cat([self.embed(text) for text in (*(negatives or [""] * len(prompts)), *prompts)])

    @torch.no_grad()
    def paint_ids(self, ids: torch.Tensor, seeds: Sequence[int], cfg: float = 4.0) -> np.ndarray:
        """For prompts that are token numbers already, ids [B, 77]."""
        both = torch.cat([self.rows([[]] * len(ids)), ids])
        return self.decoded(self.walk(self.text(both).last_hidden_state, seeds, cfg=cfg))

    def paint(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        negatives: Sequence[str] | None = None,
        steps: int = 20,
        cfg: float = 4.0,
        batch: int = 8,
    ) -> np.ndarray:  # [B, H, W, 3] uint8
        negatives, parts = negatives or [""] * len(prompts), []
        for i in range(0, len(prompts), batch):
            cut = slice(i, i + batch)
            words = self.words(prompts[cut], negatives[cut])
            parts.append(self.decoded(self.walk(words, seeds[cut], steps, cfg)))
        return np.concatenate(parts)

    def repaint(
        self, picture: np.ndarray, prompt: str, seed: int, strength: float, steps: int = 20, cfg: float = 4.0
    ) -> np.ndarray:
        """img2img of one picture [H, W, 3]; `strength` 0..1."""
        source = encode(self.vae, to_input(torch.from_numpy(picture[None])))
        return self.decoded(self.walk(self.words([prompt]), [seed], steps, cfg, source, strength))[0]

    def decoded(self, latents: torch.Tensor) -> np.ndarray:
        with torch.autocast("cpu", torch.bfloat16):
            return decode(self.vae, latents).numpy()


def sheet(pictures: np.ndarray, columns: int, cell: int = 128) -> Image.Image:
    """Pictures [N, H, W, 3] in rows, each shrunk to `cell` pixels."""
    rows = -(-len(pictures) // columns)
    page = Image.new("RGB", (columns * cell, rows * cell), (128, 128, 128))
    for i, picture in enumerate(pictures):
        page.paste(
            Image.fromarray(picture).resize((cell, cell), Image.Resampling.BOX),
            (i % columns * cell, i // columns * cell),
        )
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prompts", nargs="+")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cfg", type=float, default=4.0)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("--cell", type=int, default=128)
    args = parser.parse_args()
    painter = Painter(args.checkpoint)
    seeds = [args.seed + i for i in range(len(args.prompts))]
    sheet(painter.paint(args.prompts, seeds, steps=args.steps, cfg=args.cfg), args.columns, args.cell).save(args.out)


if __name__ == "__main__":
    main()
