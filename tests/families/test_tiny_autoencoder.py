"""Small decoders and encoders, in the original layout and in that of diffusers, against diffusers' own module."""

import pytest
import torch
from diffusers import AutoencoderTiny
from safetensors.torch import load_file

from atelier.base.paths import PROGRAM
from atelier.families.tiny_autoencoder import build_tiny
from starter.approximations import TinyDecoder, TinyEncoder, load_network

SHIPPED = PROGRAM / "models" / "VAE-approx"


@pytest.fixture(scope="module")
def reference():
    torch.manual_seed(0)
    return AutoencoderTiny(
        encoder_block_out_channels=(16,) * 4, decoder_block_out_channels=(16,) * 4,
        num_encoder_blocks=(1, 1, 1, 1), num_decoder_blocks=(1, 1, 1, 1),
    ).eval()  # fmt: skip


def original(reference, side):
    """The names of the original files: a decoder's clamp counts as a layer there."""
    shift = 1 if side == "decoder" else 0
    state = getattr(reference, side).state_dict()
    parts = ((name.removeprefix("layers.").split(".", 1), tensor) for name, tensor in state.items())
    return {f"{int(number) + shift}.{rest}": tensor for (number, rest), tensor in parts}


def test_decoder(reference):
    latents = torch.randn(1, 4, 8, 6)
    with torch.no_grad():
        expected = (reference.decode(latents).sample + 1) / 2
        for tensors in (original(reference, "decoder"), reference.state_dict()):
            assert torch.allclose(build_tiny(tensors, "decoder")(latents), expected, atol=1e-5)


def test_encoder(reference):
    pixels = torch.rand(1, 3, 64, 48)
    with torch.no_grad():
        expected = reference.encode(pixels * 2 - 1).latents
        for tensors in (original(reference, "encoder"), reference.state_dict()):
            assert torch.allclose(build_tiny(tensors, "encoder")(pixels), expected, atol=1e-5)


@pytest.mark.parametrize("tensors", ({}, {"a.weight": torch.zeros(3)}, {"1.weight": torch.zeros(3)}))
def test_other_files_are_refused(tensors):
    with pytest.raises(ValueError):
        build_tiny(tensors, "decoder")


@pytest.mark.parametrize(("side", "kind"), [("decoder", TinyDecoder), ("encoder", TinyEncoder)])
def test_those_of_the_shipped_model(side, kind):
    path = SHIPPED / f"atelier-starter-taesd_{side}.safetensors"
    given = torch.rand(1, 4, 4, 5) if side == "decoder" else torch.rand(1, 3, 32, 40)
    with torch.no_grad():
        assert torch.allclose(build_tiny(load_file(path), side)(given), load_network(path, kind)(given), atol=1e-4)
