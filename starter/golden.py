"""The golden pictures of the checkpoint that ships, painted by the product's own engine and kept beside the tests.

python -m starter.golden --out tests/starter/golden
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from types import MappingProxyType

import numpy as np
from PIL import Image

from atelier.base.paths import PROGRAM
from bench.studio import Scene, Studio

CHECKPOINT = PROGRAM / "models/Stable-diffusion/atelier-starter.safetensors"
STEPS, CFG, SIDE = 10, 4.0, 256
PROMPTS = MappingProxyType(
    {
        "circle": "a red circle on a blue background",
        "star": "a green star",
        "panda": "a panda on a yellow background",
    }
)
"""File name to prompt; seeds go by the order."""
TOLERANCE = 0.12
"""Distance up to which a picture counts as the golden one; other seeds are far beyond it."""


def paint(data: Path, checkpoint: Path = CHECKPOINT) -> dict[str, np.ndarray]:
    """Every golden picture, painted now. `data`: an empty folder for the engine's own files."""
    studio = Studio(data, checkpoint)
    try:
        return {
            name: studio.paint(Scene(SIDE, STEPS, CFG, 500 + i, prompt, ""))[1]
            for i, (name, prompt) in enumerate(PROMPTS.items())
        }
    finally:
        studio.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, picture in paint(Path(folder)).items():
            Image.fromarray(picture).save(args.out / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
