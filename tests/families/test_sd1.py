"""Stable Diffusion 1.x: what its configuration says, and how its network is called."""

from types import SimpleNamespace

import pytest
import torch

from atelier.base.errors import BadModelFile
from atelier.families.catalogue import FAMILIES, family
from atelier.families.family import Evidence
from atelier.families.ldm_config import bundled, merged, read_config, unet_config
from atelier.families.sd1 import blueprint, call
from atelier.sampling.step import ModelInputs
from tests.tiny import TinySizes, tiny_unet

SHAPES = {
    "model.diffusion_model.input_blocks.0.0.weight": (320, 4, 3, 3),
    "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight": (49408, 768),
}


def made(params=None, metadata=None, shapes=SHAPES):
    config = None if params is None else {"model": {"params": params}}
    return blueprint(Evidence(shapes, metadata or {}, config))


def test_full_size_modules_have_the_known_numbers_of_weights():
    components = made().components
    with torch.device("meta"):
        parts = {name: component.build() for name, component in components.items()}
    count = {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}
    assert count == {"unet": 859_520_964, "vae": 83_653_863, "text_encoder": 123_060_480}


def test_prediction_comes_from_the_yaml_before_marks_in_the_file():
    assert made().prediction.kind == "eps"
    assert made(metadata={"modelspec.prediction_type": "v"}).prediction.kind == "v"
    assert made(metadata={"prediction_type": "v_prediction"}).prediction.kind == "v"
    assert made(shapes={**SHAPES, "v_pred": ()}).prediction.kind == "v"
    assert made({"parameterization": "eps"}, {"modelspec.prediction_type": "v"}).prediction.kind == "eps"
    assert made({"parameterization": "v"}).prediction.kind == "v"


def test_terminal_snr_and_schedule():
    usual = made().prediction
    assert usual.sigma_max == pytest.approx(14.6146, abs=1e-3)
    assert made(shapes={**SHAPES, "ztsnr": ()}).prediction.sigma_max > 1000
    assert made({"linear_end": 0.02}).prediction.sigma_max > usual.sigma_max


@pytest.mark.parametrize(
    "params",
    [
        {"parameterization": "x0"},
        {"scale_factor": "large"},
        {"unet_config": {"params": {"channel_mult": 4}}},
        {"unet_config": {"params": {"num_heads": None}}},
        {"first_stage_config": {"params": {"ddconfig": {"ch": [1]}}}},
        {"unet_config": "v1"},
    ],
)
def test_configurations_that_cannot_be_used(params):
    with pytest.raises(BadModelFile, match="configuration"):
        made(params)


def test_configuration_files(tmp_path):
    path = tmp_path / "m.yaml"
    for text in ("a: [", "just text", "model: 5", "[1, 2]", "\x00"):
        path.write_text(text)
        with pytest.raises(BadModelFile, match="m.yaml"):
            read_config(path)
    assert merged({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}, "d": 4}) == {"a": {"b": 3, "c": 2}, "d": 4}
    params = bundled("sd1")["model"]["params"]["unet_config"]["params"]
    heads = unet_config({**params, "num_heads": -1, "num_head_channels": 64}, 4)["attention_head_dim"]
    assert heads == (5, 10, 20, 20)


def test_the_original_configuration_beside_a_full_size_file():
    """The one that people put beside their files: more than is needed, and no sizes of the text encoder."""
    params = {
        "linear_start": 0.00085, "linear_end": 0.012, "num_timesteps_cond": 1, "timesteps": 1000, "channels": 4,
        "conditioning_key": "crossattn", "monitor": "val/loss_simple_ema", "scale_factor": 0.18215, "use_ema": False,
        "unet_config": {"target": "x", "params": {
            "image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": 320, "num_res_blocks": 2,
            "attention_resolutions": [4, 2, 1], "channel_mult": [1, 2, 4, 4], "num_heads": 8, "context_dim": 768,
            "use_spatial_transformer": True, "transformer_depth": 1, "use_checkpoint": True, "legacy": False}},
        "first_stage_config": {"target": "x", "params": {"embed_dim": 4, "ddconfig": {
            "double_z": True, "z_channels": 4, "resolution": 256, "in_channels": 3, "out_ch": 3, "ch": 128,
            "ch_mult": [1, 2, 4, 4], "num_res_blocks": 2, "attn_resolutions": [], "dropout": 0.0}}},
        "cond_stage_config": {"target": "x"},
    }  # fmt: skip
    with_yaml, without = made(params), made()
    assert with_yaml.latent == without.latent and with_yaml.prediction.kind == "eps"
    with torch.device("meta"):
        # Its size of 32 is nobody's: such models are made for 512.
        assert with_yaml.components["unet"].build().config.sample_size == 64
        for name, component in without.components.items():
            mine, other = component.build().state_dict(), with_yaml.components[name].build().state_dict()
            assert {k: v.shape for k, v in mine.items()} == {k: v.shape for k, v in other.items()}


def test_call_joins_the_extra_channels_and_uses_the_networks_precision():
    sizes = TinySizes(in_channels=9)
    unet = tiny_unet(sizes)
    model = SimpleNamespace(denoiser=unet)
    inputs = ModelInputs(
        latents=torch.randn(2, 4, 8, 8), t=torch.tensor([999.0, 10.5]), context=torch.randn(2, 77, 16),
        rows=(), sigma=torch.ones(2), concat=torch.randn(2, 5, 8, 8),
    )  # fmt: skip
    with torch.no_grad():
        expected = unet(torch.cat([inputs.latents, inputs.concat], 1), inputs.t, inputs.context).sample
        assert torch.equal(call(model, inputs), expected)
        model.denoiser = tiny_unet(sizes).to(torch.bfloat16)
        assert call(model, inputs).dtype == torch.bfloat16


def test_call_hands_residuals_on():
    unet = tiny_unet()
    inputs = ModelInputs(torch.randn(1, 4, 8, 8), torch.tensor([5.0]), torch.randn(1, 77, 16), (), torch.ones(1))
    with torch.no_grad():
        plain = call(SimpleNamespace(denoiser=unet), inputs)
        inputs.residuals["middle"] = torch.ones(1, 32, 2, 2)
        inputs.residuals["down"] = [torch.zeros(())] * 6
        assert not torch.allclose(call(SimpleNamespace(denoiser=unet), inputs), plain)


def test_catalogue():
    assert family("sd1") in FAMILIES and family("none") is None
    assert all(f.default_size[0] % f.latent.factor == 0 for f in FAMILIES)
