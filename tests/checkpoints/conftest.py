"""A data folder with tiny models, and a shelf over it."""

from pathlib import Path

import pytest
import torch

from atelier.base.files import HashCache
from atelier.base.paths import Paths
from atelier.checkpoints.load import Placement
from atelier.checkpoints.shelf import Shelf


@pytest.fixture
def paths(tmp_path) -> Paths:
    # `program` too: the model that ships with the program must not be among those of the test.
    return Paths(data=tmp_path / "data", program=tmp_path / "program")


@pytest.fixture
def models(paths) -> Path:
    folder = paths.models / "Stable-diffusion"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def shelf(paths) -> Shelf:
    return Shelf(paths, HashCache(paths.cache / "hashes.json"))


@pytest.fixture
def placement() -> Placement:
    return Placement(torch.device("cpu"))
