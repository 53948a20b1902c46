"""Measures a full-size Stable Diffusion 1.x of random weights: time and memory of loading, pixels against diffusers.

    python -m tests.parity.full_size make FILE       writes the checkpoint (4.3 GB in float32)
    python -m tests.parity.full_size load FILE       loads it in a fresh process; peak resident memory against the file
    python -m tests.parity.full_size compare FILE    largest difference of decoded pixels
    python -m tests.parity.full_size all FOLDER      the three, each in its own process
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import torch
from safetensors.torch import save_file

from atelier.checkpoints.load import LoadedModel, Placement, load_checkpoint
from atelier.checkpoints.shelf import CheckpointFile
from tests.parity.loops import Task, ours, theirs
from tests.tiny import FULL, tiny_state

#: 256 pixels and few steps: two passes over 859 million weights a step take their time on a processor
TASK = Task(steps=4, side=256)


def make(path: Path) -> dict[str, Any]:
    state = tiny_state(FULL, torch.float32)
    save_file(state, str(path), metadata={"format": "pt"})
    return {"file_bytes": path.stat().st_size, "tensors": len(state)}


def load(path: Path) -> dict[str, Any]:
    runtime = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    before = time.perf_counter()
    model = _loaded(path)
    seconds = time.perf_counter() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    size = path.stat().st_size
    weights = sum(p.nbytes for part in model.components().values() for p in part.parameters())
    return {
        "seconds": round(seconds, 2), "file_bytes": size, "weight_bytes": weights, "runtime_bytes": runtime,
        "peak_bytes": peak, "peak_over_file": round((peak - runtime) / size, 3),
        "resident_after_bytes": psutil.Process().memory_info().rss,
    }  # fmt: skip


def compare(path: Path) -> dict[str, Any]:
    mine = ours(_loaded(path), TASK)
    other = theirs(FULL, TASK)
    difference = (mine - other).abs()
    return {"largest": float(difference.max()), "limit": 1 / 255, "spread_of_pixels": float(other.std())}


def _loaded(path: Path) -> LoadedModel:
    return load_checkpoint(CheckpointFile(path.name, path), Placement(torch.device("cpu")))


def run_all(folder: Path) -> dict[str, Any]:
    """Each in a process of its own, since memory is measured."""
    path = folder / "full-size.safetensors"
    results = {}
    for name in ("make", "load", "compare"):
        command = [sys.executable, "-m", "tests.parity.full_size", name, str(path)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        results[name] = json.loads(output.strip().splitlines()[-1])
    path.unlink()
    return results


if __name__ == "__main__":
    action = {"make": make, "load": load, "compare": compare, "all": run_all}[sys.argv[1]]
    sys.stdout.write(json.dumps(action(Path(sys.argv[2]))) + "\n")
