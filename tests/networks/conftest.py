"""A tiny model with a shelf of small networks, written by the tests themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from atelier.base.files import HashCache
from atelier.base.paths import Paths
from atelier.checkpoints.load import LoadedModel, Placement, load_checkpoint
from atelier.checkpoints.shelf import CheckpointFile, Shelf
from atelier.networks.active import ActiveNetworks
from atelier.prompts.tags import extract_tags
from tests.tiny import TinySizes, write_tiny_checkpoint

CPU = torch.device("cpu")


def random(*shape: int, seed: int = 0, size: float = 0.1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape))) * size


def open_tiny(folder: Path, dtype: torch.dtype = torch.float32, sizes: TinySizes | None = None) -> LoadedModel:
    path = write_tiny_checkpoint(folder, sizes=sizes)
    file = CheckpointFile(path.name, path, "0" * 64, path.with_suffix(".yaml"))
    return load_checkpoint(file, Placement(CPU, dtype, torch.float32, dtype))


@pytest.fixture(scope="session")
def checkpoint_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_checkpoint(folder)
    return folder


@pytest.fixture
def model(checkpoint_folder: Path) -> LoadedModel:
    path = checkpoint_folder / "tiny.safetensors"
    return load_checkpoint(CheckpointFile(path.name, path, "0" * 64, path.with_suffix(".yaml")), Placement(CPU))


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(data=tmp_path / "data", program=tmp_path / "program")


@pytest.fixture
def shelf(paths: Paths) -> Shelf:
    return Shelf(paths, HashCache(paths.cache / "hashes.json"))


@pytest.fixture
def networks(shelf: Shelf) -> ActiveNetworks:
    return ActiveNetworks(shelf)


@pytest.fixture
def write(paths: Paths) -> Callable[..., Path]:
    """`write("name", tensors, metadata)` puts a file of the LoRA kind on the shelf."""

    def put(name: str, tensors: dict[str, torch.Tensor], metadata: dict[str, str] | None = None) -> Path:
        path = paths.models / "Lora" / f"{name}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, str(path), metadata=metadata)
        return path

    return put


def tags(text: str):
    return extract_tags(text)[1]


def states(model: LoadedModel) -> dict[str, torch.Tensor]:
    """A copy of everything that networks can change."""
    parts = {"unet": model.denoiser, "text": model.text_encoder}
    return {f"{part}.{name}": value.clone() for part, m in parts.items() for name, value in m.state_dict().items()}


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name in before if not torch.equal(before[name], after[name])}


ATTENTION = "down_blocks.0.attentions.0.transformer_blocks.0"
LAYER = f"{ATTENTION}.attn1.to_q"
KEY = "lora_unet_" + LAYER.replace(".", "_")
TEXT_KEY = "lora_te_text_model_encoder_layers_0_self_attn_q_proj"


def plain_lora(model: LoadedModel, seed: int = 0, rank: int = 3) -> dict[str, torch.Tensor]:
    """One layer of the denoiser and one of the text encoder."""
    out, width = model.denoiser.get_submodule(LAYER).weight.shape
    text = 16
    return {
        f"{KEY}.lora_up.weight": random(out, rank, seed=seed),
        f"{KEY}.lora_down.weight": random(rank, width, seed=seed + 1),
        f"{KEY}.alpha": torch.tensor(2.0),
        f"{TEXT_KEY}.lora_up.weight": random(text, rank, seed=seed + 2),
        f"{TEXT_KEY}.lora_down.weight": random(rank, text, seed=seed + 3),
        f"{TEXT_KEY}.alpha": torch.tensor(1.5),
    }


def text_layer(model: LoadedModel) -> torch.nn.Linear:
    return next(m for name, m in model.text_encoder.named_modules() if name.endswith("layers.0.self_attn.q_proj"))
