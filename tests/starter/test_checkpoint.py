"""Key names, growth and the round trip through a file, on random networks."""

import pytest
import torch
from safetensors.torch import load_file

from atelier.base.errors import BadModelFile
from starter import checkpoint, layout
from starter.growth import grow
from starter.models import UNetShape, build_text, build_unet, build_vae

SMALL = UNetShape((32, 64), (False, True), 4, 16)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    torch.manual_seed(0)
    path, used = tmp_path_factory.mktemp("c") / "small.safetensors", torch.tensor([5, 7, 320, 49406, 49407])
    unet, vae, text = build_unet(SMALL), build_vae(), build_text(len(used))
    checkpoint.write(path, unet.state_dict(), text.state_dict(), vae, used, SMALL, {"seen": "0"})
    return path, used, unet, vae, text


def test_file_has_the_names_of_stable_diffusion_1(saved):
    keys = set(load_file(saved[0]))
    assert {
        "model.diffusion_model.input_blocks.0.0.weight",
        "model.diffusion_model.time_embed.2.bias",
        "model.diffusion_model.out.2.weight",
        "model.diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_k.weight",
        "first_stage_model.decoder.up.0.block.1.conv1.weight",
        "first_stage_model.encoder.mid.attn_1.q.weight",
        "first_stage_model.quant_conv.weight",
        "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight",
        "alphas_cumprod",
    } <= keys


def test_what_is_written_is_read_back(saved):
    path, used, unet, vae, text = saved
    unet_state, text_state = checkpoint.read(path, SMALL, used)
    for before, after in (
        (unet.state_dict(), unet_state),
        (text.state_dict(), text_state),
        (vae.state_dict(), checkpoint.load_vae(path).state_dict()),
    ):
        for key, value in after.items():
            assert torch.allclose(value, before[key], atol=2e-3), key


def test_untrained_tokens_get_the_mean_row(saved):
    path, used, _, _, text = saved
    table = load_file(path)["cond_stage_model.transformer.text_model.embeddings.token_embedding.weight"].float()
    rows = next(value for key, value in text.state_dict().items() if key.endswith("token_embedding.weight"))
    assert table.shape == (49408, 128)
    assert torch.allclose(table[1000], rows.mean(0), atol=1e-3)


def test_another_shape_is_refused(saved):
    with pytest.raises(BadModelFile):
        checkpoint.read(saved[0], UNetShape(), saved[1])


def test_growth_keeps_the_old_levels():
    torch.manual_seed(0)
    small = build_unet(SMALL)
    state, shape = grow(small.state_dict(), SMALL)
    assert shape == UNetShape((32, 32, 64), (False, False, True), 4, 32)
    unet = build_unet(shape)
    unet.load_state_dict(state)
    assert torch.equal(unet.down_blocks[2].resnets[0].conv1.weight, small.down_blocks[1].resnets[0].conv1.weight)
    with torch.no_grad():
        out = unet(torch.randn(1, 4, 32, 32), torch.tensor([5]), torch.randn(1, 77, 128)).sample
    assert out.shape == (1, 4, 32, 32) and out.isfinite().all()


def test_all_keys_of_the_shipped_shape_have_distinct_names():
    keys = build_unet(UNetShape()).state_dict().keys()
    assert len(set(layout.unet_names(keys).values())) == len(keys)


def test_shape_comes_from_the_yaml(saved):
    assert checkpoint.shape_of(saved[0]) == SMALL
