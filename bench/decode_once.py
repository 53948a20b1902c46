"""Decodes one large picture in tiles and says what that took, as a line of JSON; run as a process of its own."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch

from atelier.families.clip import load_tokenizer
from atelier.pipeline.autoencode import in_tiles
from atelier.pipeline.decode import decode
from bench.machine import peak_resident, resident
from bench.studio import Scene, Studio


def main(path: Path, data: Path, side: int) -> dict[str, float]:
    """`side` in pixels. Sizes that the program decodes whole are put into tiles, so that this can be tried out."""
    load_tokenizer()
    studio = Studio(data, path)
    before = resident()
    least = min(studio.settings().vae_tile_from, side - 1)
    run = studio.run(Scene(side, 1), vae_tile_from=least)
    cells = side // run.model.latent.factor
    latents = torch.randn(1, run.model.latent.channels, cells, cells, generator=torch.Generator().manual_seed(3))
    if not in_tiles(run, run.model, cells, cells):
        raise ValueError(f"a picture with sides of {side} pixels is not decoded in tiles")
    loaded, began = resident(), time.perf_counter()
    pixels = decode(run, latents)
    seconds = time.perf_counter() - began
    peak = peak_resident()
    studio.close()
    return {"seconds": seconds, "before": before, "loaded": loaded, "peak": peak, "side": pixels.shape[-1]}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))))
