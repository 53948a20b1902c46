"""The computed tensor names against the single-file conversion of diffusers, which is the other end of the mapping."""

import pytest
import torch
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint

from atelier.families.ldm import TEXT_PREFIX, text_names
from tests.tiny import TinySizes, ldm_state, tiny_text_encoder, tiny_unet, tiny_vae

SIZES = [
    TinySizes(),
    TinySizes(in_channels=9, res_blocks=2, channel_mult=(1, 2, 4, 4), attention_resolutions=(1, 2, 4)),
    TinySizes(channel_mult=(1, 2, 3), attention_resolutions=(2, 4)),
]


@pytest.mark.parametrize("sizes", SIZES)
def test_unet_names_are_those_that_diffusers_reads(sizes):
    unet = tiny_unet(sizes)
    converted = convert_ldm_unet_checkpoint(ldm_state(unet, None, None, torch.float32), dict(unet.config))
    expected = unet.state_dict()
    assert set(converted) == set(expected)
    assert all(torch.equal(converted[name], expected[name]) for name in expected)


@pytest.mark.parametrize("sizes", SIZES)
def test_vae_names_are_those_that_diffusers_reads(sizes):
    vae = tiny_vae(sizes)
    converted = convert_ldm_vae_checkpoint(ldm_state(None, vae, None, torch.float32), dict(vae.config))
    expected = vae.state_dict()
    assert set(converted) == set(expected)
    assert all(torch.equal(converted[name], expected[name]) for name in expected)


def test_text_names_carry_text_model_once():
    names = text_names(tiny_text_encoder().state_dict())
    assert all(theirs.count("text_model.") == 1 for theirs in names.values())
    assert text_names(["text_model.final_layer_norm.weight"]) == {
        "text_model.final_layer_norm.weight": "text_model.final_layer_norm.weight"
    }
    key = f"{TEXT_PREFIX}text_model.encoder.layers.0.self_attn.q_proj.weight"
    assert key in ldm_state(None, None, tiny_text_encoder())
