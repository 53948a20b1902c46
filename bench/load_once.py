"""Opens one checkpoint and says what that took, as a line of JSON; run as a process of its own."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch

from atelier.checkpoints.load import Placement, load_checkpoint
from atelier.checkpoints.reader import TYPES, read_header
from atelier.checkpoints.shelf import CheckpointFile
from atelier.families.clip import load_tokenizer
from bench.machine import peak_resident, resident


def main(path: Path, dtype_name: str) -> dict[str, float | str]:
    dtype = getattr(torch, dtype_name)
    config = path.with_suffix(".yaml")
    # The tokenizer brings libraries along that belong to the runtime, not to the model.
    load_tokenizer()
    stored = next(iter(read_header(path).tensors.values())).dtype
    before, began = resident(), time.perf_counter()
    placement = Placement(torch.device("cpu"), dtype, dtype, dtype)
    model = load_checkpoint(CheckpointFile(path.name, path, None, config if config.is_file() else None), placement)
    seconds = time.perf_counter() - began
    weights = sum(p.numel() * p.element_size() for m in model.components().values() for p in m.parameters())
    return {
        "seconds": seconds, "before": before, "peak": peak_resident(), "file": path.stat().st_size, "weights": weights,
        "stored": str(TYPES[stored]).removeprefix("torch."),
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2])))
