"""ClipStatistics: mean and spread of CLIP's vectors, which the originals of unCLIP models keep in a file of its own."""

from __future__ import annotations

from pathlib import Path

import torch

from atelier.base.errors import AtelierError, BadModelFile
from atelier.base.log import fields, logger
from atelier.checkpoints.reader import read_object, read_state_dict
from atelier.families.unclip import NoiseStatistics

log = logger(__name__)

#: how such a file's name ends, and the name that it was published under, with the folder that configurations name
ENDING, PUBLISHED, FOLDER = "_stats", "ViT-L-14_stats", "karlo_models"
#: as published: a pickled pair of mean and spread; `.safetensors` with diffusers' names `mean` and `std`
PICKLED, SAFE = (".th", ".pt"), ".safetensors"


def is_statistics(path: Path) -> bool:
    return path.stem.endswith(ENDING) and path.suffix.lower() in (*PICKLED, SAFE)


def statistics_beside(checkpoint: Path, width: int, allow_pickle: bool = False) -> NoiseStatistics | None:
    """Of the first file beside a checkpoint that is for vectors of this width: under the checkpoint's own name, else
    under the published one. One that cannot be read is told in the log, and the model works without."""
    for stem in (f"{checkpoint.stem}{ENDING}", PUBLISHED, f"{FOLDER}/{PUBLISHED}"):
        for suffix in (SAFE, *PICKLED):
            path = checkpoint.parent / f"{stem}{suffix}"
            if not path.is_file():
                continue
            try:
                found = _read(path, allow_pickle)
            except AtelierError as error:
                log.warning("statistics left out %s", fields(file=path.name, reason=error.message))
                continue
            if found.mean.shape[1] == width:
                log.info("statistics found %s", fields(file=path.name, checkpoint=checkpoint.name))
                return found
    return None


def _read(path: Path, allow_pickle: bool) -> NoiseStatistics:
    value = read_state_dict(path) if path.suffix.lower() == SAFE else read_object(path, allow_pickle)
    pair = (value.get("mean"), value.get("std")) if isinstance(value, dict) else value
    tensors = [item.float().reshape(1, -1) for item in pair if isinstance(item, torch.Tensor)]
    if len(tensors) != 2 or tensors[0].shape != tensors[1].shape or not bool((tensors[1] > 0).all()):
        raise BadModelFile(f"{path.name} does not hold a mean and a spread.", path=str(path))
    found = NoiseStatistics(tensors[0].shape[1])
    with torch.no_grad():
        found.mean.copy_(tensors[0])
        found.std.copy_(tensors[1])
    return found.requires_grad_(False)
