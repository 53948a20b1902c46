"""Detection: the family of a file from its header, or a refusal that names what it is and what to do."""

import pytest

from atelier.base.errors import BadModelFile, UnknownModel
from atelier.checkpoints.detect import identify, modern_name
from atelier.checkpoints.header import read_safetensors_header
from tests.checkpoints.files import LORA, UNET, sd1_shapes, write_header_only


def identified(tmp_path, shapes, config=None):
    return identify(read_safetensors_header(write_header_only(tmp_path / "m.safetensors", shapes)), config)


def refused(tmp_path, shapes, config=None):
    with pytest.raises(UnknownModel) as caught:
        identified(tmp_path, shapes, config)
    return caught.value


@pytest.mark.parametrize(("channels", "variant"), [(4, ""), (9, "inpainting"), (5, "depth"), (8, "edit")])
def test_sd1_and_its_variants(tmp_path, channels, variant):
    family, match, evidence = identified(tmp_path, sd1_shapes(channels=channels))
    assert (family.name, match.variant) == ("sd1", variant)
    made = family.blueprint(evidence)
    assert (made.in_channels, made.variant) == (channels, variant)


def test_old_text_encoder_names_are_understood(tmp_path):
    shapes = {k.replace("text_model.", ""): v for k, v in sd1_shapes().items()}
    assert identified(tmp_path, shapes)[0].name == "sd1"
    name = "cond_stage_model.transformer.encoder.layers.0.mlp.fc1.bias"
    assert modern_name(name) == "cond_stage_model.transformer.text_model.encoder.layers.0.mlp.fc1.bias"
    assert modern_name("first_stage_model.encoder.x") == "first_stage_model.encoder.x"


@pytest.mark.parametrize(
    ("shapes", "word"),
    [
        ({"input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": (640, 2048)}, "Stable Diffusion XL"),
        ({"input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 1024)}, "Stable Diffusion 2.x"),
        (LORA, "LoRA"),
        ({"emb_params": (2, 768)}, "textual inversion"),
        ({"control_model.input_hint_block.0.weight": (16, 3, 3, 3)}, "ControlNet"),
        ({"decoder.conv_in.weight": (512, 4, 3, 3), "encoder.conv_in.weight": (128, 3, 3, 3)}, "VAE"),
        ({f"{UNET}joint_blocks.0.x": (4,)}, "Stable Diffusion 3"),
        ({"double_blocks.0.img_attn.qkv.weight": (4, 4)}, "Flux"),
        ({"conv_first.weight": (64, 3, 3, 3)}, "upscaler"),
        ({"input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 768)}, "alone"),
    ],
)
def test_other_kinds_are_named_with_a_remedy(tmp_path, shapes, word):
    error = refused(tmp_path, shapes)
    assert word in error.message and error.fields["kind"]
    assert error.remedy


@pytest.mark.parametrize(("channels", "word"), [(7, "upscaling"), (6, "6 input")])
def test_other_numbers_of_input_channels(tmp_path, channels, word):
    error = refused(tmp_path, sd1_shapes(channels=channels))
    assert word in error.message and error.fields["closest"] == "sd1"


def test_a_video_model_is_named(tmp_path):
    shapes = {**sd1_shapes(channels=8), f"{UNET}input_blocks.1.1.time_stack.0.norm1.weight": (320,)}
    assert "video model" in refused(tmp_path, shapes).message


def test_a_missing_text_encoder_is_named(tmp_path):
    error = refused(tmp_path, {k: v for k, v in sd1_shapes().items() if not k.startswith("cond_stage")})
    assert "no text encoder" in error.message
    assert "token_embedding" in error.fields["missing"][0]


def test_unusual_sizes_ask_for_a_configuration(tmp_path):
    assert ".yaml" in refused(tmp_path, sd1_shapes(width=64)).message
    config = {"model": {"params": {"unet_config": {"params": {"context_dim": 768}}}}}
    assert identified(tmp_path, sd1_shapes(width=64), config)[0].name == "sd1"
    config["model"]["params"]["unet_config"]["params"]["context_dim"] = 128
    assert "width 768, not 128" in refused(tmp_path, sd1_shapes(width=64), config).message
    config["model"]["params"]["unet_config"]["params"]["context_dim"] = "wide"
    with pytest.raises(BadModelFile, match="context_dim"):
        identified(tmp_path, sd1_shapes(width=64), config)


def test_something_else_entirely(tmp_path):
    error = refused(tmp_path, {"bert.embeddings.weight": (10, 10)})
    assert error.fields["closest"] == "sd1" and error.fields["missing"]
    with pytest.raises(BadModelFile, match="no tensors"):
        identified(tmp_path, {})
