"""Statistics of CLIP's vectors in a file beside the checkpoint of an image variation model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from atelier.base.files import HashCache
from atelier.base.paths import Paths
from atelier.checkpoints.clip_statistics import statistics_beside
from atelier.checkpoints.load import Placement, load_checkpoint
from atelier.checkpoints.shelf import CheckpointFile, Shelf
from tests.tiny_sd2 import PROJECTION, sd2_sizes, write_tiny_sd2


def numbers(width: int = PROJECTION) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    return torch.randn(width, generator=generator), torch.rand(width, generator=generator) + 0.5


def opened(path: Path, allow_pickle: bool = False):
    file = CheckpointFile(path.name, path, None, path.with_suffix(".yaml"))
    return load_checkpoint(file, Placement(torch.device("cpu")), allow_pickle=allow_pickle)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return write_tiny_sd2(tmp_path, "vary", sd2_sizes(labels=2 * PROJECTION))


@pytest.mark.parametrize("name", [
    "vary_stats.th", "ViT-L-14_stats.th", "karlo_models/ViT-L-14_stats.th", "vary_stats.pt", "vary_stats.safetensors",
])  # fmt: skip
def test_a_file_beside_the_checkpoint_is_used(checkpoint, name):
    mean, std = numbers()
    path = checkpoint.parent / name
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".safetensors":
        save_file({"mean": mean[None], "std": std[None]}, path)
    else:
        torch.save((mean, std), path)
    found = opened(checkpoint, allow_pickle=True).extras["noise_statistics"]
    assert torch.equal(found.mean, mean[None]) and torch.equal(found.std, std[None])
    assert not found.mean.requires_grad and found.mean.dtype == torch.float32


def test_the_checkpoints_own_come_first(tmp_path):
    mean, std = numbers()
    own = {"noise_augmentor.data_mean": mean[None] + 1, "noise_augmentor.data_std": std[None]}
    path = write_tiny_sd2(tmp_path, "vary", sd2_sizes(labels=2 * PROJECTION), more=own)
    save_file({"mean": mean, "std": std}, tmp_path / "vary_stats.safetensors")
    assert torch.equal(opened(path).extras["noise_statistics"].mean, mean[None] + 1)


def test_what_cannot_be_used_is_left_out_and_told(checkpoint, caplog):
    folder = checkpoint.parent
    assert "noise_statistics" not in opened(checkpoint).extras
    torch.save(numbers(), folder / "vary_stats.th")
    assert statistics_beside(checkpoint, PROJECTION) is None and "pickle files are switched off" in caplog.text
    (folder / "vary_stats.th").unlink()
    save_file({"mean": torch.ones(3), "other": torch.ones(3)}, folder / "vary_stats.safetensors")
    assert statistics_beside(checkpoint, 3) is None and "does not hold a mean and a spread" in caplog.text
    mean, std = numbers(7)
    save_file({"mean": mean, "std": std}, folder / "ViT-L-14_stats.safetensors")
    assert "noise_statistics" not in opened(checkpoint).extras, "it is for vectors of another width"
    assert statistics_beside(checkpoint, 7) is not None


def test_such_a_file_is_no_checkpoint(tmp_path):
    paths = Paths(data=tmp_path / "data", program=tmp_path / "program")
    folder = paths.folders("checkpoint")[0]
    write_tiny_sd2(folder, "vary", sd2_sizes(labels=2 * PROJECTION))
    save_file({"mean": torch.ones(3), "std": torch.ones(3)}, folder / "ViT-L-14_stats.safetensors")
    assert [f.name for f in Shelf(paths, HashCache(paths.cache / "hashes.json")).checkpoints()] == ["vary.safetensors"]
