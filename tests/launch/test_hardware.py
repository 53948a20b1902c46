from __future__ import annotations

import pytest

from atelier.launch.hardware import Gpu, detect, gfx_name, parse_nvidia, parse_rocminfo, signature
from tests.launch.fakes import FakeProbe

ROCMINFO = """
ROCk module is loaded
==========
HSA Agents
==========
*******
Agent 1
*******
  Name:                    AMD Ryzen 9 7950X 16-Core Processor
  Marketing Name:          AMD Ryzen 9 7950X 16-Core Processor
  Device Type:             CPU
*******
Agent 2
*******
  Name:                    gfx1100
  Uuid:                    GPU-5f1c
  Marketing Name:          Radeon RX 7900 XTX
  Device Type:             GPU
    ISA 1
      Name:                    amdgcn-amd-amdhsa--gfx1100
"""
LSPCI = """
00:02.0 VGA compatible controller: Intel Corporation UHD Graphics 770 (rev 0c)
03:00.0 VGA compatible controller: Intel Corporation DG2 [Arc A770] (rev 08)
"""


def test_nvidia_with_several_cards() -> None:
    gpus, driver = parse_nvidia("NVIDIA GeForce RTX 5090, 580.65.06, 32607, 12.0\nTesla P40, 580.65.06, 23040, 6.1\n")
    assert gpus == (
        Gpu("NVIDIA GeForce RTX 5090", (12, 0), memory=32607),
        Gpu("Tesla P40", (6, 1), memory=23040),
    )
    assert driver == (580, 65, 6)


def test_an_old_driver_that_does_not_know_compute_cap_is_asked_again() -> None:
    answer = "GeForce GTX 1080, 470.82, 8119\n"
    probe = FakeProbe(runs={"nvidia-smi --query-gpu=name,driver_version,memory.total --format": answer})
    found = detect(probe)
    assert found.kind == "cuda" and found.gpus[0].capability is None and found.driver == (470, 82)


@pytest.mark.parametrize(
    "text", ["", "No devices were found\n", "NVIDIA-SMI has failed because it couldn't communicate with the driver."]
)
def test_an_nvidia_smi_without_cards_is_no_nvidia(text: str) -> None:
    assert detect(FakeProbe(runs={"nvidia-smi": text})).kind == "cpu"


def test_windows_finds_nvidia_smi_outside_the_search_path() -> None:
    probe = FakeProbe("Windows", "amd64", {"C:/Windows/System32/nvidia-smi.exe": "RTX 4090, 581.15, 24564, 8.9\n"})
    found = detect(probe)
    assert (found.kind, found.name, found.driver_text) == ("cuda", "RTX 4090", "581.15")


def test_rocm_from_rocminfo_and_from_the_kernel() -> None:
    assert parse_rocminfo(ROCMINFO) == (Gpu("Radeon RX 7900 XTX", arch="gfx1100"),)
    assert detect(FakeProbe(runs={"rocminfo": ROCMINFO})).kind == "rocm"
    nodes = "/sys/class/kfd/kfd/topology/nodes/"
    files = {f"{nodes}0/properties": "gfx_target_version 0\n", f"{nodes}1/properties": "gfx_target_version 100302\n"}
    found = detect(FakeProbe(files=files))
    assert found.kind == "rocm" and found.gpus[0].arch == "gfx1032"


@pytest.mark.parametrize(
    ("number", "name"), [(110000, "gfx1100"), (90010, "gfx90a"), (110501, "gfx1151"), (120001, "gfx1201"), (0, "")]
)
def test_the_kernels_number_becomes_a_gfx_name(number: int, name: str) -> None:
    assert gfx_name(number) == name


def test_intel_counts_only_with_a_card_that_torch_knows() -> None:
    found = detect(FakeProbe(runs={"lspci": LSPCI}))
    assert found.kind == "xpu" and found.gpus == (Gpu("Intel Corporation DG2 [Arc A770]"),)
    assert detect(FakeProbe(runs={"lspci": LSPCI.splitlines()[1]})).kind == "cpu"
    cards = "Intel(R) UHD Graphics\nIntel(R) Arc(TM) B580 Graphics\n"
    assert detect(FakeProbe("Windows", "amd64", {"powershell": cards})).name == "Intel(R) Arc(TM) B580 Graphics"


def test_apple() -> None:
    assert detect(FakeProbe("Darwin", "arm64", {"sysctl": "Apple M3 Max\n"})).name == "Apple M3 Max"
    old = detect(FakeProbe("Darwin", "x86_64"))
    assert old.kind == "cpu" and "Intel" in old.notes[0]


def test_a_card_without_a_driver_is_told() -> None:
    found = detect(FakeProbe(files={"/sys/class/drm/card0/device/vendor": "0x10de\n"}))
    assert found.kind == "cpu" and "install NVIDIA's driver" in found.notes[0]
    found = detect(FakeProbe("Windows", "amd64", {"powershell": "AMD Radeon RX 7800 XT\n"}))
    assert found.kind == "cpu" and "AMD" in found.notes[0]


def test_the_signature_changes_with_the_driver_and_asks_no_program() -> None:
    class Silent(FakeProbe):
        def run(self, command, seconds=15.0):  # noqa: ANN001, ANN202
            raise AssertionError(f"{command} was run")

    before = signature(Silent())
    after = signature(Silent(files={"/proc/driver/nvidia/version": "NVRM version: 580.65\nGCC\n"}))
    assert before == signature(Silent()) != after
    assert signature(Silent("Windows")) != signature(Silent("Darwin"))
