"""The autoencoder taken out of a checkpoint, as the file that the other stages read.

python -m starter.vae_file --checkpoint models/Stable-diffusion/atelier-starter.safetensors --data DATA
"""

from __future__ import annotations

import argparse
from pathlib import Path

from starter.checkpoint import load_vae, save_vae


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder in which vae.safetensors is written")
    args = parser.parse_args()
    args.data.mkdir(parents=True, exist_ok=True)
    save_vae(args.data / "vae.safetensors", load_vae(args.checkpoint))


if __name__ == "__main__":
    main()
