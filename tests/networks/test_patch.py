"""Patches come off bit by bit."""

import torch
from torch import nn

from atelier.device.streaming import PlainMover, Stream
from atelier.networks.patch import Patch
from tests.networks.conftest import LAYER


def test_the_very_tensor_comes_back():
    layer = nn.Linear(4, 3)
    place = layer.weight.data_ptr()
    with Patch() as patch:
        patch.put(layer, "weight", torch.zeros(3, 4))
        patch.put(layer, "weight", torch.ones(3, 4))
        assert layer.weight.sum() == 12 and layer.weight.data_ptr() != place
        assert patch.size == 3 * 4 * 4
    assert layer.weight.data_ptr() == place and patch.size == 0


def test_a_bias_that_was_not_there_goes_away():
    layer = nn.Linear(4, 3, bias=False)
    with Patch() as patch:
        patch.put(layer, "bias", torch.ones(3))
        assert layer(torch.zeros(1, 4)).tolist() == [[1, 1, 1]] and "bias" in dict(layer.named_parameters())
    assert layer.bias is None and "bias" not in dict(layer.named_parameters())


def test_values_take_the_type_of_the_parameter():
    layer = nn.Linear(4, 3).to(torch.bfloat16)
    with Patch() as patch:
        patch.put(layer, "weight", torch.full((3, 4), 1.001))
        assert layer.weight.dtype == torch.bfloat16


def test_a_module_may_be_converted_while_it_is_changed():
    layer = nn.Linear(4, 3)
    before = layer.weight.data.clone()
    with Patch() as patch:
        patch.put(layer, "weight", torch.zeros(3, 4))
        layer.to(torch.float64)
    assert layer.weight.dtype == torch.float64 and torch.equal(layer.weight, before.double())


def test_hooks_are_taken_off():
    layer = nn.Linear(4, 3)
    x = torch.ones(1, 4)
    before = layer(x)
    patch = Patch()
    patch.hook(layer.register_forward_hook(lambda module, inputs, output: output + 1))
    assert torch.equal(layer(x), before + 1)
    patch.restore()
    patch.restore()
    assert torch.equal(layer(x), before) and not layer._forward_hooks


def test_a_part_of_a_larger_piece_of_memory_stays_in_its_place():
    layer, memory = nn.Linear(4, 3, bias=False), torch.arange(40.0)
    layer.weight.data = memory[8:20].view(3, 4)
    before, place = memory.clone(), layer.weight.data_ptr()
    with Patch() as patch:
        patch.put(layer, "weight", torch.zeros(3, 4))
        patch.put(layer, "weight", before[8:20].view(3, 4) + 1)
        assert layer.weight.data_ptr() == place and torch.equal(memory[8:20], before[8:20] + 1)
    assert torch.equal(memory, before) and layer.weight.data_ptr() == place


def test_streamed_blocks_are_changed_at_rest_and_not_built_again(model):
    """A stream copies its blocks out of memory of its own, which the patch must not leave behind."""
    home = torch.device("cpu")
    stream = Stream(model.denoiser, home, PlainMover(home), 1 << 16)
    latents, context = torch.ones(1, 4, 8, 8), torch.ones(1, 5, 16)

    def out():
        stream.start()
        with torch.no_grad():
            found = model.denoiser(latents, torch.tensor([10.0]), encoder_hidden_states=context).sample
        stream.stop()
        return found

    plain, blocks = out(), list(stream._blocks)
    layer = model.denoiser.get_submodule(LAYER)
    with Patch() as patch:
        patch.put(layer, "weight", layer.weight.data * 3)
        assert not torch.equal(out(), plain)
    assert torch.equal(out(), plain) and all(a is b for a, b in zip(blocks, stream._blocks, strict=True)) and blocks
