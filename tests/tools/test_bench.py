"""The workbench keeps the last few tools open; no memory means smaller tiles; tools may be kept on the CPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from atelier.base.errors import BadModelFile, OutOfMemory
from atelier.device.recovery import Ladder
from atelier.device.residency import Residency
from atelier.tools.architectures import open_network
from atelier.tools.bench import Workbench
from atelier.tools.model_upscaler import named_scale, through_network
from atelier.tools.opened import Opened
from atelier.tools.watch import Watch
from tests.tools.networks import write_rrdb

CPU = torch.device("cpu")


@pytest.fixture
def residency() -> Residency:
    return Residency(CPU)


def test_a_network_is_opened_once_and_again_when_its_file_changes(residency, tmp_path):
    bench, path = Workbench(residency), write_rrdb(tmp_path, ups=1)
    first = bench.get(path, "esrgan", open_network)
    assert bench.get(path, "esrgan", open_network) is first
    write_rrdb(tmp_path, ups=2, blocks=2)
    second = bench.get(path, "esrgan", open_network)
    assert second is not first and second.scale == 4
    path.unlink()
    with pytest.raises(BadModelFile, match="not there any more"):
        bench.get(path, "esrgan", open_network)


def test_the_oldest_is_let_go(residency, tmp_path):
    forgotten = []
    residency.forget = forgotten.append
    bench = Workbench(residency, limit=2)
    paths = [write_rrdb(tmp_path, f"n{i}", ups=1) for i in range(3)]
    opened = [bench.get(path, "esrgan", open_network) for path in paths[:2]]
    bench.get(paths[0], "esrgan", open_network)
    bench.get(paths[2], "esrgan", open_network)
    assert forgotten == [opened[1].module]
    bench.close()
    assert len(forgotten) == 3


def test_half_precision_only_where_it_is_allowed(residency, tmp_path):
    path = write_rrdb(tmp_path, ups=1)
    half = Workbench(residency, torch.bfloat16).get(path, "esrgan", open_network)
    assert next(half.module.parameters()).dtype == torch.bfloat16
    for words in (["esrgan"], ["all"]):
        kept = Workbench(residency, torch.bfloat16, {"use_cpu": words})
        assert next(kept.get(path, "esrgan", open_network).module.parameters()).dtype == torch.float32
        assert kept.device("esrgan") == CPU
    small = through_network(Image.new("RGB", (8, 8), "red"), half, Workbench(residency, torch.bfloat16), Watch())
    assert small.size == (16, 16)


class Greedy(torch.nn.Module):
    """Doubles a picture, and has no memory for sides above a limit."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.limit = limit

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if max(x.shape[-2:]) > self.limit:
            raise torch.OutOfMemoryError("no room")
        return torch.nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")


class Teller:
    def __init__(self) -> None:
        self.said: list[str] = []

    def comment(self, message: str) -> None:
        self.said.append(message)


def test_out_of_memory_makes_tiles_smaller_and_says_so(residency):
    values = np.random.default_rng(1).integers(0, 255, (150, 300, 3), dtype=np.uint8)
    image, teller = Image.fromarray(values), Teller()
    watch = Watch(tiles={"": (0, 8)}, teller=teller, ladder=Ladder(residency))
    made = through_network(image, Opened(Greedy(128), "Greedy", scale=2), Workbench(residency), watch)
    assert np.array_equal(np.asarray(made), values.repeat(2, 0).repeat(2, 1))
    assert any("enlarged in smaller tiles" in said for said in teller.said)
    with pytest.raises(OutOfMemory, match="enlarging"):
        through_network(image, Opened(Greedy(10), "Greedy", scale=2), Workbench(residency), watch)


@pytest.mark.parametrize(("name", "scale"), [
    ("4x-UltraSharp", 4), ("RealESRGAN_x2plus", 2), ("plain", 4), ("1xDeJPG", 1), ("8X_big", 8), ("0x", 4),
])  # fmt: skip
def test_scales_in_names(name, scale):
    assert named_scale(name) == scale
