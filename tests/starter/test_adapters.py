"""Embedding, LoRA and hypernetwork: attached by hooks here, read and baked by the product, with the same result."""

import pytest
import torch
from safetensors.torch import load_file

from atelier.networks.hypernetworks import read_hypernetwork
from starter import layout
from starter.adapters import Hypernetwork, Inversion, Lora
from starter.models import UNetShape, build_text, build_unet

SMALL = UNetShape((32, 64), (False, True), 4, 16)
X, T = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(1)), torch.tensor([300])
WORDS = torch.randn(1, 77, 128, generator=torch.Generator().manual_seed(2))


@pytest.fixture(scope="module")
def networks():
    torch.manual_seed(0)
    return build_unet(SMALL).eval(), build_text(50).eval()


@torch.no_grad()
def output(unet):
    return unet(X, T, WORDS).sample


def stirred(adapter):
    """The adapter with values that do something."""
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.copy_((0.1 * torch.randn_like(parameter)).half().float())
    return adapter


def test_adapters_begin_as_nothing_and_leave_nothing(networks):
    unet, text = networks
    plain = output(unet)
    for adapter in (Lora(unet, text, 2), Hypernetwork(unet, "x")):
        with adapter.attached(unet, text):
            assert torch.allclose(output(unet), plain, atol=1e-6)
        stirred(adapter)
        with adapter.attached(unet, text):
            assert not torch.allclose(output(unet), plain, atol=1e-3)
        assert torch.equal(output(unet), plain)


def test_lora_file_means_the_same_when_it_is_baked(networks, tmp_path):
    unet, text = networks
    lora = stirred(Lora(unet, text, 2))
    with lora.attached(unet, text):
        attached = output(unet)
    lora.save(tmp_path / "a.safetensors")
    file, baked = load_file(tmp_path / "a.safetensors"), build_unet(SMALL)
    baked.load_state_dict(unet.state_dict())
    with torch.no_grad():
        for name, module in baked.named_modules():
            key = "lora_unet_" + name.replace(".", "_")
            if f"{key}.lora_up.weight" in file:
                up, down = file[f"{key}.lora_up.weight"].float(), file[f"{key}.lora_down.weight"].float()
                module.weight += (up.flatten(1) @ down.flatten(1)).reshape(module.weight.shape)
    assert torch.allclose(output(baked), attached, atol=1e-4)
    assert any(key.startswith("lora_te_text_model_encoder_layers_0_self_attn_q_proj.") for key in file)
    assert "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k.alpha" in file


def test_hypernetwork_file_is_read_by_the_product(networks, tmp_path):
    unet, _ = networks
    network = stirred(Hypernetwork(unet, "flower"))
    assert set(network.pairs) == {64, 128}
    network.save(tmp_path / "flower.pt")
    read = read_hypernetwork(tmp_path / "flower.pt", "flower", allow_pickle=True)
    x = torch.randn(2, 128)
    with torch.no_grad():
        for ours, theirs in zip(network.pairs[128], read.pairs[128]):
            assert torch.allclose(ours(x), theirs(x), atol=1e-5)


def test_an_inversion_stands_in_place_of_its_slots(networks, tmp_path):
    unet, text = networks
    table = next(v for k, v in text.state_dict().items() if k.endswith("token_embedding.weight"))
    inversion = Inversion([7, 8], table[[3, 4]])
    ids = torch.full((1, 77), 49)
    named, slots = ids.clone(), ids.clone()
    named[0, 1:3], slots[0, 1:3] = torch.tensor([3, 4]), torch.tensor([7, 8])
    with torch.no_grad():
        wanted = text(named).last_hidden_state
        with inversion.attached(unet, text):
            assert torch.allclose(text(slots).last_hidden_state, wanted, atol=1e-5)
        assert not torch.allclose(text(slots).last_hidden_state, wanted, atol=1e-3)
    inversion.save(tmp_path / "e.safetensors")
    assert load_file(tmp_path / "e.safetensors")["emb_params"].shape == (2, 128)


def test_names_in_the_text_encoder_are_those_of_the_checkpoint(networks):
    unet, text = networks
    names = {layout.text_key(name) for name, _ in text.named_modules() if "layers" in name}
    assert layout.TEXT + "text_model.encoder.layers.0.self_attn.q_proj" in names
