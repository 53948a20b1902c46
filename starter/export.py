"""The export of a run: its averaged networks and the autoencoder in one checkpoint file with its yaml.

python -m starter.export --run DATA/run --vae DATA/vae.safetensors --out FILE.safetensors
"""

from __future__ import annotations

import argparse
from pathlib import Path

from starter import checkpoint
from starter.progress import Progress
from starter.run_state import RunState

LARGEST = 60_000_000
"""Bytes: a checkpoint that ships must not be larger."""


def export(state: RunState, vae: Path, target: Path) -> int:
    """Writes the checkpoint; returns its size in bytes. Raises ValueError when it is too large to ship."""
    state.swap()
    notes = {"seen": str(state.counters.seen), "steps": str(state.counters.steps)}
    size = checkpoint.write(
        target,
        state.unet.state_dict(),
        state.text.state_dict(),
        checkpoint.load_vae(vae),
        state.used,
        state.shape,
        notes,
    )
    state.swap()
    if size > LARGEST:
        raise ValueError(f"{target} has {size} bytes, more than {LARGEST}")
    return size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder with state.pt")
    parser.add_argument("--vae", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    state = RunState.load(args.run / "state.pt")
    size = export(state, args.vae, args.out)
    Progress(args.run / "export.log").say(
        "exported", megabytes=size / 1e6, steps=state.counters.steps, seen=state.counters.seen
    )


if __name__ == "__main__":
    main()
