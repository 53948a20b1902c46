"""Small networks on Stable Diffusion 2: LoRA and embeddings of its width, and files for other models named."""

import pytest
import torch
from safetensors.torch import save_file

from atelier.checkpoints.load import Placement, load_checkpoint
from atelier.checkpoints.shelf import CheckpointFile
from atelier.families.family import EncodeOptions
from tests.networks.conftest import changed, random, states, tags
from tests.tiny_sd2 import sd2_sizes, write_tiny_sd2

LAYER = "down_blocks.0.attentions.0.proj_in"


@pytest.fixture
def model(tmp_path):
    path = write_tiny_sd2(tmp_path / "sd2", sizes=sd2_sizes())
    file = CheckpointFile(path.name, path, "0" * 64, path.with_suffix(".yaml"))
    return load_checkpoint(file, Placement(torch.device("cpu")))


def pair(out, inputs, rank=2):
    return {"lora_up.weight": random(out, rank), "lora_down.weight": random(rank, inputs, seed=1)}


def named(key, parts):
    return {f"{key}.{name}": tensor for name, tensor in parts.items()}


def test_lora_of_linear_projections_and_of_the_text_encoder(model, networks, write):
    """Both namings of the text encoder: transformers', and OpenCLIP's with query, key and value in one matrix."""
    tensors = {
        **named("lora_unet_down_blocks_0_attentions_0_proj_in", pair(16, 16)),
        **named("lora_te_text_model_encoder_layers_0_mlp_fc1", pair(64, 16)),
        **named("lora_te_model_transformer_resblocks_1_attn_in_proj", pair(48, 16)),
    }
    write("style", tensors, {"ss_v2": "True", "ss_network_module": "networks.lora"})
    before = states(model)
    report = networks.apply(model, tags("<lora:style:0.5:1>"))
    assert report.comments == ()
    names = changed(before, states(model))
    assert f"unet.{LAYER}.weight" in names and len(names) == 5
    up, down = (tensors[f"lora_unet_down_blocks_0_attentions_0_proj_in.lora_{s}.weight"] for s in ("up", "down"))
    assert torch.allclose(
        model.denoiser.get_submodule(LAYER).weight, before[f"unet.{LAYER}.weight"] + up @ down, atol=1e-6
    )
    three = (
        tensors["lora_te_model_transformer_resblocks_1_attn_in_proj.lora_up.weight"]
        @ tensors["lora_te_model_transformer_resblocks_1_attn_in_proj.lora_down.weight"]
    )
    key = next(name for name in names if name.endswith("layers.1.self_attn.k_proj.weight"))
    assert torch.allclose(states(model)[key], before[key] + 0.5 * three[16:32], atol=1e-6)
    networks.restore(model)
    assert changed(before, states(model)) == set()


def test_a_lora_of_another_family_is_named_with_the_reason(model, networks, write):
    write(
        "other", named("lora_unet_down_blocks_0_attentions_0_proj_in", pair(16, 16)), {"ss_base_model_version": "sd_v1"}
    )
    write("wide", named("lora_unet_down_blocks_0_attentions_0_proj_in", pair(32, 32)))
    before = states(model)
    report = networks.apply(model, tags("<lora:other><lora:wide>"))
    assert changed(before, states(model)) == set() and not report.files
    assert any("other" in c and "sd1" in c and "sd2" in c for c in report.comments)
    assert any("wide" in c for c in report.comments)


def test_embeddings_of_its_width_are_used_and_others_named(model, shelf, paths):
    folder = paths.data / "embeddings"
    folder.mkdir(parents=True)
    save_file({"emb_params": random(2, 16, size=1.0)}, str(folder / "mood.safetensors"))
    save_file({"emb_params": random(2, 24)}, str(folder / "foreign.safetensors"))
    found = shelf.embeddings(model)
    assert list(found.loaded) == ["mood"] and "24" in found.skipped["foreign"] and "16" in found.skipped["foreign"]
    options = EncodeOptions(embeddings=shelf.embeddings_for(model))
    with_mood, without = (model.encode_texts([text], options)[0].vectors for text in ("a mood cat", "a cat"))
    assert with_mood.shape == (77, 16) and not torch.allclose(with_mood, without)
