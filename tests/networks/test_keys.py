"""Names in files: every published spelling finds the layer that it means."""

import pytest
import torch
from torch import nn

from atelier.networks.keys import LayerMap, split_key, text_encoders
from tests.networks.conftest import ATTENTION, LAYER

FLAT = LAYER.replace(".", "_")


@pytest.mark.parametrize(("key", "layer", "part"), [
    (f"lora_unet_{FLAT}.lora_up.weight", f"lora_unet_{FLAT}", "up"),
    (f"lora_unet_{FLAT}.lora_mid.weight", f"lora_unet_{FLAT}", "mid"),
    (f"lora_unet_{FLAT}.alpha", f"lora_unet_{FLAT}", "alpha"),
    (f"unet.{LAYER}.lora_A.weight", f"unet_{FLAT}", "down"),
    (f"unet.{LAYER}.lora_B.default.weight", f"unet_{FLAT}", "up"),
    (f"base_model.model.{LAYER}.lora_B.default_0.weight", FLAT, "up"),
    (f"base_model.model.{LAYER}.lora_magnitude_vector.default.weight", FLAT, "magnitude"),
    (f"unet.{LAYER}.lora_magnitude_vector", f"unet_{FLAT}", "magnitude"),
    (f"unet.{LAYER}.lora.down.weight", f"unet_{FLAT}", "down"),
    (f"{ATTENTION}.attn1.processor.to_q_lora.up.weight", FLAT, "up"),
    (f"{ATTENTION}.attn1.processor.to_out_lora.up.weight", FLAT.replace("to_q", "to_out_0"), "up"),
    ("text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_linear_layer.down.weight",
     "text_encoder_text_model_encoder_layers_0_self_attn_q_proj", "down"),
    ("a.b.hada_w2_b", "a_b", "hada_w2_b"), ("a.b.lokr_w1", "a_b", "lokr_w1"), ("a.b.lokr_w2_a", "a_b", "lokr_w2_a"),
    ("a.b.lokr_t2", "a_b", "lokr_t2"), ("a.b.oft_blocks", "a_b", "oft_blocks"), ("a.b.oft_diag", "a_b", "oft_diag"),
    ("a.b.diff_b", "a_b", "diff_b"), ("a.b.w_norm", "a_b", "w_norm"), ("a.b.a1.weight", "a_b", "a1"),
    ("a.b.bm.weight", "a_b", "bm"), ("a.b.weight", "a_b", "weight"), ("a.b.on_input", "a_b", "on_input"),
    ("a.b.dora_scale", "a_b", "dora_scale"), ("a.b.rescale", "a_b", "rescale"),
    ("a.b.bias_indices", "a_b", "bias_indices"),
])  # fmt: skip
def test_keys_are_split(key, layer, part):
    assert split_key(key) == (layer, part)


def test_other_keys_are_not():
    assert split_key("lora_controlnet") is None and split_key("step") is None and split_key("a.b.other") is None


@pytest.fixture(scope="module")
def layers(tmp_path_factory):
    from tests.networks.conftest import open_tiny

    model = open_tiny(tmp_path_factory.mktemp("keys"))
    return model, LayerMap(model)


@pytest.mark.parametrize(("name", "module"), [
    (f"lora_unet_{FLAT}", LAYER),
    (f"unet_{FLAT}", LAYER),
    (FLAT, LAYER),
    (f"lycoris_{FLAT}", LAYER),
    ("lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q", LAYER),
    ("diffusion_model_input_blocks_1_1_transformer_blocks_0_attn1_to_q", LAYER),
    ("lora_unet_input_blocks_0_0", "conv_in"),
    ("lora_unet_conv_in", "conv_in"),
    ("lora_unet_input_blocks_1_0_in_layers_2", "down_blocks.0.resnets.0.conv1"),
    ("lora_unet_down_blocks_0_resnets_0_conv1", "down_blocks.0.resnets.0.conv1"),
    ("lora_unet_input_blocks_2_0_op", "down_blocks.0.downsamplers.0.conv"),
    ("lora_unet_middle_block_1_proj_in", "mid_block.attentions.0.proj_in"),
    ("lora_unet_time_embed_0", "time_embedding.linear_1"),
    ("lora_unet_out_2", "conv_out"),
    ("lora_unet_out_0", "conv_norm_out"),
])  # fmt: skip
def test_layers_of_the_denoiser(layers, name, module):
    model, names = layers
    target = names.find(name)
    assert target.component == "unet" and target.modules == (model.denoiser.get_submodule(module),)


@pytest.mark.parametrize("name", [
    "lora_te_text_model_encoder_layers_1_self_attn_q_proj",
    "lora_te1_text_model_encoder_layers_1_self_attn_q_proj",
    "text_encoder_text_model_encoder_layers_1_self_attn_q_proj",
    "text_encoder_text_model_encoder_layers_1_self_attn_to_q",
    "text_encoders_clip_l_transformer_text_model_encoder_layers_1_self_attn_q_proj",
    "text_model_encoder_layers_1_self_attn_q_proj",
])  # fmt: skip
def test_layers_of_the_text_encoder(layers, name):
    model, names = layers
    (module,) = names.find(name).modules
    assert any(module is m and n.endswith("layers.1.self_attn.q_proj") for n, m in model.text_encoder.named_modules())


@pytest.mark.parametrize(("name", "ending"), [
    ("mlp_c_fc", "mlp.fc1"), ("mlp_c_proj", "mlp.fc2"), ("attn_out_proj", "self_attn.out_proj"),
    ("ln_2", "layer_norm2"),
])  # fmt: skip
@pytest.mark.parametrize("start", ["", "model_"])
def test_names_of_open_clip(layers, name, ending, start):
    model, names = layers
    (module,) = names.find(f"lora_te_{start}transformer_resblocks_0_{name}").modules
    assert any(module is m and n.endswith(f"layers.0.{ending}") for n, m in model.text_encoder.named_modules())


def test_open_clip_joins_query_key_and_value(layers):
    model, names = layers
    found = names.find("lora_te_model_transformer_resblocks_1_attn_in_proj").modules
    by_name = {n: m for n, m in model.text_encoder.named_modules()}
    wanted = [next(m for n, m in by_name.items() if n.endswith(f"layers.1.self_attn.{x}_proj")) for x in "qkv"]
    assert list(found) == wanted


def test_every_weight_of_the_model_has_a_name_of_its_own(layers):
    model, names = layers
    for name, module in model.denoiser.named_modules():
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.GroupNorm, nn.LayerNorm)):
            assert names.find("lora_unet_" + name.replace(".", "_")).modules == (module,)


@pytest.mark.parametrize(("name", "block"), [
    ("conv_in", "IN00"), (FLAT, "IN01"), ("down_blocks_0_downsamplers_0_conv", "IN02"),
    ("mid_block_resnets_0_conv1", "M00"),
    ("up_blocks_0_resnets_0_conv1", "OUT00"), ("conv_out", "BASE"), ("time_embedding_linear_1", "BASE"),
])  # fmt: skip
def test_blocks(layers, name, block):
    assert layers[1].find(f"lora_unet_{name}").block == block


def test_unknown_names_find_nothing(layers):
    find = layers[1].find
    assert find("lora_unet_nowhere") is None and find("lora_te2_text_model_encoder_layers_0_mlp_fc1") is None


def test_a_second_text_encoder_has_its_own_names(layers):
    """A model of SDXL's kind: the second encoder stands among the components."""
    model, _ = layers

    class Two:
        family, denoiser = model.family, model.denoiser
        second = nn.ModuleDict({"text_projection": nn.Linear(4, 4)})

        def components(self):
            return {"unet": self.denoiser, "text_encoder": model.text_encoder, "text_encoder_2": self.second}

    two = Two()
    names = LayerMap(two)
    assert list(text_encoders(two)) == ["text_encoder", "text_encoder_2"]
    assert names.find("lora_te2_text_projection").component == "text_encoder_2"
    assert names.find("text_encoder_2_text_projection").modules == (two.second["text_projection"],)
    assert names.find("lora_te1_text_model_encoder_layers_0_mlp_fc1").component == "text_encoder"
    assert torch.is_tensor(names.find("lora_te2_text_projection").modules[0].weight)
