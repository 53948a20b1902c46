"""What PEFT and diffusers keep beside the tensors of a file: strengths, and the formula of rotations."""

import json
import math

import pytest

from atelier.base.errors import BadModelFile
from atelier.checkpoints.network_files import read_lora
from atelier.networks.forms import scale_of
from atelier.networks.lora import LORA
from atelier.networks.network import read_network
from tests.networks.conftest import random

UNET, TEXT = "mid_block.attentions.0.proj_in", "text_model.encoder.layers.0.mlp.fc1"


def entries(*heads, rank=4):
    return {
        f"{head}.lora_{side}.weight": random(*shape)
        for head in heads
        for side, shape in (("A", (rank, 8)), ("B", (8, rank)))
    }


def scales(path):
    layers = read_network(read_lora(path)).layers
    return {layer: scale_of(LORA, parts) for layer, parts in layers.items()}


def inside(told):
    return {"lora_adapter_metadata": json.dumps(told, indent=2)}


def test_metadata_of_diffusers_tells_the_strength_by_network(write):
    told = {
        "unet.lora_alpha": 8, "unet.r": 4, "text_encoder.lora_alpha": 2, "text_encoder_2.lora_alpha": 16,
        "text_encoder_2.use_rslora": True, "unet.alpha_pattern": {"attentions.0.proj_out": 1},
    }  # fmt: skip
    keys = [f"unet.{UNET}", "unet.mid_block.attentions.0.proj_out", f"text_encoder.{TEXT}", f"text_encoder_2.{TEXT}"]
    found = scales(write("style", entries(*keys), inside(told)))
    assert found == {
        "unet_mid_block_attentions_0_proj_in": 2.0, "unet_mid_block_attentions_0_proj_out": 0.25,
        "text_encoder_text_model_encoder_layers_0_mlp_fc1": 0.5,
        "text_encoder_2_text_model_encoder_layers_0_mlp_fc1": pytest.approx(16 / math.sqrt(4)),
    }  # fmt: skip


def test_an_alpha_in_the_file_counts_first_and_without_notes_the_strength_is_one(write):
    tensors = {**entries(UNET), f"{UNET}.alpha": random(1).reshape(()) * 0 + 2}
    told = inside({"lora_alpha": 40})
    assert scales(write("own", tensors, told)) == {"mid_block_attentions_0_proj_in": 0.5}
    assert scales(write("bare", entries(UNET))) == {"mid_block_attentions_0_proj_in": 1.0}


def test_the_configuration_beside_an_adapter_is_about_that_file_alone(write):
    path = write("adapter_model", entries(f"base_model.model.{UNET}"))
    path.with_name("adapter_config.json").write_text(json.dumps({"lora_alpha": 6, "r": 4}))
    assert scales(path) == {"mid_block_attentions_0_proj_in": 1.5}
    assert scales(write("other", entries(UNET))) == {"mid_block_attentions_0_proj_in": 1.0}
    path.with_name("adapter_config.json").write_text("{")
    with pytest.raises(BadModelFile, match="adapter_config.json"):
        scales(path)


@pytest.mark.parametrize(("told", "exact"), [(None, False), (True, False), (False, True)])
def test_the_formula_of_rotations(write, told, exact):
    path = write("turned", {f"{UNET}.oft_R.weight": random(2, 6)})
    if told is not None:
        path.with_name("adapter_config.json").write_text(json.dumps({"use_cayley_neumann": told}))
    parts = read_network(read_lora(path)).layers["mid_block_attentions_0_proj_in"]
    assert ("exact" in parts) == exact
