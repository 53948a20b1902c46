"""Services around a tiny random model, for tests of whole runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import torch

from atelier.base.files import HashCache
from atelier.base.paths import Paths
from atelier.checkpoints.library import Library
from atelier.checkpoints.load import Placement
from atelier.checkpoints.shelf import Shelf
from atelier.device.estimate import Estimator
from atelier.device.recovery import Ladder
from atelier.device.residency import Residency
from atelier.imaging.blobs import BlobStore
from atelier.imaging.numbering import Numbering
from atelier.params.field import declarations_of
from atelier.params.groups import GROUPS
from atelier.params.request import GenerationRequest
from atelier.params.settings import Settings
from atelier.pipeline.cache import EncodingCache
from atelier.pipeline.run import generate
from atelier.pipeline.services import Services
from atelier.pipeline.state import Result
from atelier.prompts.styles import StyleBook
from atelier.sampling.catalogue import default_catalogue
from atelier.tools.upscale import default_upscalers
from tests.tiny import write_tiny_checkpoint

CPU = torch.device("cpu")


def make_services(data: Path, **changes: Any) -> Services:
    paths = Paths(data=data, program=data)
    hashes = HashCache(paths.cache / "hashes.json")
    shelf = Shelf(paths, hashes)
    residency = Residency(CPU)
    declarations = {d.name: d for group in GROUPS for d in declarations_of(group)}
    values: dict[str, Any] = dict(
        paths=paths, shelf=shelf, library=Library(shelf, Placement(CPU)), blobs=BlobStore(paths.blobs), hashes=hashes,
        styles=StyleBook(paths.styles), catalogue=default_catalogue(), upscalers=default_upscalers(),
        encodings=EncodingCache(), residency=residency, ladder=Ladder(residency), estimator=Estimator(),
        numbering=Numbering(paths.cache / "numbers"), declarations=MappingProxyType(declarations), version="test",
    )  # fmt: skip
    return Services(**{**values, **changes})


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    return write_tiny_checkpoint(folder)


@pytest.fixture
def data(tmp_path: Path, tiny_checkpoint: Path) -> Path:
    """A data folder with the tiny model in its place."""
    folder = tmp_path / "models" / "Stable-diffusion"
    folder.mkdir(parents=True)
    for file in tiny_checkpoint.parent.glob(f"{tiny_checkpoint.stem}*"):
        (folder / file.name).symlink_to(file)
    return tmp_path


@pytest.fixture
def services(data: Path) -> Services:
    return make_services(data)


@pytest.fixture
def settings(data: Path) -> Settings:
    return Settings(data / "config.json", GROUPS)


@pytest.fixture
def make(services: Services, settings: Settings) -> Callable[..., Result]:
    """`make(**{"size.width": 64}, events=[...])` runs a small request and gives its result."""

    def run(
        request: GenerationRequest | None = None, events: list | None = None, token: Any = None, **paths: Any
    ) -> Result:
        small = {"size.width": 64, "size.height": 64, "sampling.steps": 3, "seed.seed": 7, "prompt.positive": "a cat"}
        request = (request or GenerationRequest()).with_values(**{**small, **paths})
        publish = events.append if events is not None else (lambda event: None)
        return generate(request, services, settings=settings.snapshot(), token=token, publish=publish, job="test")

    return run
