"""The latents of a stage's pictures, encoded once and kept in small files, so that a run that was stopped goes on.

python -m starter.latents --data DATA --stage objects
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL

from starter.checkpoint import load_vae
from starter.models import encode, to_input
from starter.progress import Progress
from starter.scene import Composer, Scene
from starter.sprites import Sprites
from starter.world import STAGES, scenes

_SHARD = 128
_BATCH = 8


def _folder(data: Path, stage: str) -> Path:
    return data / "latents" / stage


def build(data: Path, stage: str, vae: AutoencoderKL, device: str = "cpu") -> int:
    """Encodes what is missing; returns the number of pictures of the stage."""
    folder = _folder(data, stage)
    folder.mkdir(parents=True, exist_ok=True)
    progress, composer, rows = Progress(data / "latents.log"), Composer(Sprites(data / "sprites.npz")), scenes(stage)
    (folder / "scenes.json").write_text(json.dumps([scene.to_json() for scene in rows]))
    for begin in range(0, len(rows), _SHARD):
        target = folder / f"{begin:06d}.pt"
        if target.exists():
            continue
        parts = []
        for first in range(begin, min(begin + _SHARD, len(rows)), _BATCH):
            progress.wait_while_paused()
            batch = np.stack([composer.draw(scene) for scene in rows[first : min(first + _BATCH, begin + _SHARD)]])
            with torch.autocast(device, torch.bfloat16):
                parts.append(encode(vae, to_input(torch.from_numpy(batch)).to(device)).cpu())
        torch.save(torch.cat(parts).half(), target)
        progress.say("encoded", stage=stage, done=min(begin + _SHARD, len(rows)), of=len(rows))
    return len(rows)


def load(data: Path, stage: str) -> tuple[list[Scene], torch.Tensor]:  # [N, 4, 32, 32]
    """Scenes and latents of a stage, as far as it is encoded. Raises FileNotFoundError when nothing is."""
    folder = _folder(data, stage)
    shards = sorted(folder.glob("*.pt"))
    if not shards:
        raise FileNotFoundError(
            f"{folder} holds no latents; run: python -m starter.latents --data {data} --stage {stage}"
        )
    latents = torch.cat([torch.load(shard) for shard in shards]).float()
    rows = [Scene.from_json(row) for row in json.loads((folder / "scenes.json").read_text())]
    return rows[: len(latents)], latents


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with sprites.npz")
    parser.add_argument("--stage", choices=sorted(STAGES), required=True)
    parser.add_argument("--vae", type=Path, help="checkpoint in LDM layout; default DATA/vae.safetensors")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    vae = load_vae(args.vae or args.data / "vae.safetensors").to(args.device)
    build(args.data, args.stage, vae, args.device)


if __name__ == "__main__":
    main()
