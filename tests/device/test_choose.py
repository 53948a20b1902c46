"""Which device and which precision, through fakes of what torch can reach."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from atelier.base.errors import BadRequest
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


# -- rules by chip, and what the command line asks of parts


@pytest.fixture
def named(machine, monkeypatch):
    """`named("cuda", "GTX 1660", capability=(7, 5))`; `arch` is AMD's gfx name."""

    def fake(kind, name, capability=(8, 6), arch=""):
        machine("cuda", capability=capability, hip="6.4" if arch else None)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: name)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(gcnArchName=arch))

    return fake


@pytest.mark.parametrize("name", [
    "NVIDIA GeForce GTX 1660 SUPER", "NVIDIA GeForce GTX 1650", "NVIDIA GeForce GTX 1630", "NVIDIA T1000 8GB",
    "NVIDIA T400", "Quadro T2000", "NVIDIA GeForce MX450", "NVIDIA CMP 30HX",
])  # fmt: skip
def test_turing_without_tensor_cores_gets_full_precision(named, name):
    named("cuda", name, (7, 5))
    choice = choose({})
    assert dtypes(choice) == (F32, F32, F32) and "black pictures" in choice.reason


@pytest.mark.parametrize("name", ["NVIDIA GeForce RTX 2060", "Tesla T4", "NVIDIA TITAN RTX", "Quadro RTX 4000"])
def test_turing_with_tensor_cores_does_not(named, name):
    named("cuda", name, (7, 5))
    assert dtypes(choose({})) == (F16, F16, F16)


def test_half_precision_can_be_forced_on_such_a_chip(named):
    named("cuda", "NVIDIA GeForce GTX 1660", (7, 5))
    assert dtypes(choose({"precision": "half"})) == (F16, F16, F16)
    assert dtypes(choose({"precision": "half", "no_half_vae": True})) == (F16, F16, F32)
    assert dtypes(choose({"unet_in_fp16": True})) == (F16, F32, F32)


@pytest.mark.parametrize(("arch", "expected"), [
    ("gfx803", F32), ("gfx1010:xnack-", F32), ("gfx1012", F32), ("gfx900", F16), ("gfx906:sramecc+", F16),
    ("gfx1030", F16), ("gfx1100", F16), ("gfx90a", F16), ("gfx1201", F16),
])  # fmt: skip
def test_old_amd_chips_get_full_precision(named, arch, expected):
    named("rocm", "AMD Radeon", arch=arch)
    assert dtypes(choose({})) == (expected,) * 3


@pytest.mark.parametrize(("arguments", "expected"), [
    ({"unet_in_bf16": True}, (BF16, F16, F16)), ({"vae_in_bf16": True}, (F16, F16, BF16)),
    ({"clip_in_fp32": True, "vae_in_fp32": True}, (F16, F32, F32)),
    ({"no_half": True, "unet_in_fp16": True}, (F16, F32, F32)),
    ({"unet_in_fp32": True, "unet_in_fp16": True}, (F32, F16, F16)),
])  # fmt: skip
def test_parts_in_a_precision_of_their_own(machine, arguments, expected):
    machine("cuda")
    choice = choose(arguments)
    assert dtypes(choice) == expected and "was asked for the" in choice.reason


@pytest.mark.parametrize(("name", "capability", "arch", "brain"), [
    ("RTX 3060", (8, 6), "", True), ("RTX 2080", (7, 5), "", False), ("MI250", (9, 0), "gfx90a", True),
    ("RX 7900", (11, 0), "gfx1100", True), ("RX 6800", (10, 3), "gfx1030", False),
])  # fmt: skip
def test_bfloat16_only_where_the_chip_has_it(named, name, capability, arch, brain):
    named("cuda", name, capability, arch)
    choice = choose({"unet_in_bf16": True})
    assert choice.denoiser_dtype == (BF16 if brain else F16) and ("imitates" in choice.reason) is not brain


def test_upcast_sampling_means_attention_in_float32(machine):
    machine("cuda")
    choice = choose({"upcast_sampling": True})
    assert choice.upcast_attention and choice.denoiser_dtype == F16 and "attention counts in float32" in choice.reason
    choice = choose({"upcast_sampling": True, "no_half": True})
    assert not choice.upcast_attention and "adds nothing" in choice.reason


@pytest.mark.parametrize("given", ["4", 7, "-1", "first"])
def test_a_card_that_is_not_there_is_refused_by_name(machine, given):
    machine("cuda")
    with pytest.raises(BadRequest) as caught:
        choose({"device_id": given})
    assert caught.value.field == "device_id" and "0 to 3" in caught.value.remedy


@pytest.mark.parametrize(("parts", "device"), [
    (["sd"], "cpu"), (["interrogate"], "cuda:0"), (["esrgan", "all"], "cpu"),
])  # fmt: skip
def test_parts_that_stay_on_the_cpu(machine, parts, device):
    machine("cuda")
    assert choose({"use_cpu": parts}).device == torch.device(device)
