"""A reduced SDXL: extraction and baking meet the layout of its files, and the names that sd-scripts gives."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

import pytest
import torch
from safetensors.torch import load_file, save_file

from atelier.checkpoints.network_files import NetworkFile
from atelier.checkpoints.shelf import CheckpointFile
from atelier.networks.baked_file import BakedFile, Weighted
from atelier.networks.extract import Extraction, extract
from atelier.networks.keys import LayerMap
from atelier.networks.lowrank import RankRule
from atelier.networks.network import Network
from atelier.networks.plain import Layer
from atelier.networks.skeleton import open_skeleton
from tests.tiny_sdxl import write_tiny_xl

UNET = "model.diffusion_model.input_blocks.3.1.transformer_blocks.0.attn1.to_q.weight"
FIRST = "conditioner.embedders.0.transformer.text_model.encoder.layers.1.mlp.fc1.weight"
SECOND = "conditioner.embedders.1.model.transformer.resblocks.1.attn.in_proj_weight"
NAMES = {
    UNET: "lora_unet_input_blocks_3_1_transformer_blocks_0_attn1_to_q",
    FIRST: "lora_te1_text_model_encoder_layers_1_mlp_fc1",
    SECOND: "lora_te2_text_model_encoder_layers_1_self_attn_k_proj",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """An original, and one whose layers are changed by matrices of rank 2; of OpenCLIP's only the keys."""
    folder = tmp_path_factory.mktemp("xl")
    base = write_tiny_xl(folder, "base")
    state = load_file(base)
    generator = torch.Generator().manual_seed(3)
    for key in NAMES:
        rows = state[key].shape[0] // (3 if key == SECOND else 1)
        change = torch.randn(rows, 2, generator=generator) @ torch.randn(2, state[key].shape[1], generator=generator)
        start = rows if key == SECOND else 0
        state[key][start : start + rows] += 0.2 * change
    tuned = folder / "tuned.safetensors"
    save_file(state, tuned)
    tuned.with_suffix(".yaml").write_text(base.with_suffix(".yaml").read_text())
    return [CheckpointFile(p.name, p, "0" * 64, p.with_suffix(".yaml")) for p in (base, tuned)]


def as_network(layers: dict[str, Layer]) -> Network:
    parts = {name: {"up": la.up, "down": la.down, "alpha": torch.tensor(float(la.rank))} for name, la in layers.items()}
    return Network(NetworkFile("x", Path("x.safetensors")), MappingProxyType(parts))


def test_what_is_extracted_bakes_into_the_tuned_model(files, tmp_path):
    base, tuned = (open_skeleton(file) for file in files)
    assert base.family.name == "sdxl"
    layers, kept = extract(base, tuned, Extraction(RankRule(2), None, 0.01), lambda part, whole: None)
    assert set(layers) == set(NAMES.values()) and kept == pytest.approx(1, abs=1e-5)
    baked = BakedFile(base)
    baked.add(Weighted(as_network(layers), 1.0, 1.0), LayerMap(base))
    path = tmp_path / "baked.safetensors"
    baked.write(path, lambda name, info: info.dtype, {}, lambda part, whole: None)
    found, wanted = load_file(path), load_file(files[1].path)
    assert baked.notes == [] and found.keys() == wanted.keys()
    for key, tensor in wanted.items():
        assert torch.allclose(found[key], tensor, atol=1e-4), key
