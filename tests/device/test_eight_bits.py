"""Matrices in 8 bits: what is stored, what it works in, and that nothing else about a layer changes."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from torch import nn

from atelier.base.errors import BadRequest
from atelier.device.eight_bits import E4M3, E5M2, NOTHING, storage_asked, storage_for, store, working_type

CPU = torch.device("cpu")


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.linear = nn.Conv2d(4, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.Linear(8, 4)

    def forward(self, x):
        return self.linear(self.norm(self.conv(x)).mean((2, 3)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_layers_keep_eight_bits_and_work_in_their_own_type(dtype):
    torch.manual_seed(0)
    network, x = Small().to(dtype), torch.randn(2, 4, 6, 6, dtype=dtype)
    network.conv.padding_mode = "circular"
    with torch.no_grad():
        for layer in (network.conv, network.linear):
            layer.weight.copy_(layer.weight.to(E4M3))
        wanted = network(x)
        store({"unet": network}, {"unet": E4M3, "text_encoder": E4M3}, CPU)
        assert torch.equal(network(x), wanted), "numbers that 8 bits can hold give the same, circular edges included"
    assert network.conv.weight.dtype == network.linear.weight.dtype == E4M3
    assert network.norm.weight.dtype == network.linear.bias.dtype == working_type(network) == dtype
    assert type(network.conv) is nn.Conv2d and type(network.linear) is nn.Linear
    assert sum(p.nbytes for p in network.parameters()) < sum(p.numel() for p in network.parameters()) * dtype.itemsize


def test_a_stored_network_leaves_memory_when_nobody_holds_it():
    network = Small()
    store({"unet": network}, {"unet": E5M2}, CPU)
    gone = weakref.ref(network.linear)
    gc.disable()
    try:
        del network
        assert gone() is None
    finally:
        gc.enable()


def test_who_is_stored_in_eight_bits():
    both = {"unet", "text_encoder", "text_encoder_2"}
    assert storage_for("Disable", "sdxl", NOTHING) == {}
    assert (
        storage_for("Enable", "sd1", NOTHING).keys() == both == storage_for("Enable for SDXL", "sdxl", NOTHING).keys()
    )
    assert storage_for("Enable for SDXL", "sd1", NOTHING) == {}
    given = storage_asked({"unet_in_fp8_e5m2": True, "clip_in_fp8_e4m3fn": False})
    assert given == {"unet": E5M2} == storage_for("Disable", "sd1", given)
    assert storage_for("Enable", "sd1", given)["unet"] == E5M2


def test_a_device_without_eight_bits_is_told_of():
    with pytest.raises(BadRequest) as caught:
        store({"unet": Small()}, {"unet": E4M3}, torch.device("mps"))
    assert caught.value.field == "settings.fp8_storage" and caught.value.remedy
