"""Which device and which precision, through fakes of what torch can reach."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from atelier.device.choose import choose

F16, BF16, F32 = torch.float16, torch.bfloat16, torch.float32


@pytest.fixture
def machine(monkeypatch):
    """`machine("cuda", "xpu", "mps", capability=(8, 6))` makes these the accelerators that torch can reach."""

    def fake(*kinds, capability=(8, 6), hip=None):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in kinds)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"Card {device.index}")
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
        properties = SimpleNamespace(gcnArchName="gfx1100:xnack-")
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
        monkeypatch.setattr(torch.version, "hip", hip)
        monkeypatch.setattr(torch.xpu, "is_available", lambda: "xpu" in kinds)
        monkeypatch.setattr(torch.xpu, "get_device_name", lambda device: f"Arc {device.index}")
        monkeypatch.setattr(torch.xpu, "device_count", lambda: 4)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in kinds)

    return fake


def dtypes(choice):
    return choice.denoiser_dtype, choice.text_dtype, choice.vae_dtype


@pytest.mark.parametrize(("kinds", "device"), [
    ((), "cpu"), (("mps",), "mps"), (("xpu", "mps"), "xpu:0"), (("cuda", "xpu", "mps"), "cuda:0"),
])  # fmt: skip
def test_the_strongest_device_wins(machine, kinds, device):
    machine(*kinds)
    assert choose({}).device == torch.device(device)


def test_a_cpu_computes_in_full_precision(machine):
    machine()
    choice = choose({})
    assert dtypes(choice) == (F32, F32, F32) and choice.precision == "float32"
    assert "no usable GPU" in choice.reason and "CPU" in choice.name


def test_half_precision_on_a_cpu_is_bfloat16_on_request_only(machine):
    machine()
    assert dtypes(choose({"precision": "half"})) == (BF16, BF16, F32)


def test_a_cuda_card_computes_in_half_precision(machine):
    machine("cuda")
    choice = choose({})
    assert dtypes(choice) == (F16, F16, F16) and choice.name == "Card 0"
    assert "CUDA is available" in choice.reason and "cuda:0" in choice.reason


def test_rocm_is_told_by_its_name(machine):
    machine("cuda", hip="6.4")
    assert "ROCm is available" in choose({}).reason


def test_chips_without_half_precision_get_full(machine):
    machine("cuda", capability=(5, 2))
    assert dtypes(choose({})) == (F32, F32, F32)


def test_apple_decodes_in_full_precision(machine):
    machine("mps")
    choice = choose({})
    assert dtypes(choice) == (F16, F16, F32) and choice.name == "Apple GPU"


@pytest.mark.parametrize(("arguments", "expected"), [
    ({"no_half": True}, (F32, F32, F32)),
    ({"precision": "full"}, (F32, F32, F32)),
    ({"no_half_vae": True}, (F16, F16, F32)),
    ({"precision": "half"}, (F16, F16, F16)),
    ({"precision": "autocast"}, (F16, F16, F16)),
])  # fmt: skip
def test_what_the_command_line_says_about_precision(machine, arguments, expected):
    machine("cuda")
    choice = choose(arguments)
    assert dtypes(choice) == expected
    assert ("full precision was asked for" in choice.reason) is (expected[0] == F32)


def test_a_card_is_chosen_by_number(machine):
    machine("cuda")
    assert choose({"device_id": "1"}).device == torch.device("cuda", 1)
    machine("xpu")
    choice = choose({"device_id": 2})
    assert choice.device == torch.device("xpu", 2) and choice.name == "Arc 2"


def test_everything_can_be_kept_on_the_cpu(machine):
    machine("cuda")
    choice = choose({"use_cpu": ["all"]})
    assert choice.device.type == "cpu" and dtypes(choice) == (F32, F32, F32) and "--use-cpu all" in choice.reason
