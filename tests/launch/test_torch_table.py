from __future__ import annotations

import pytest

from atelier.launch.hardware import Gpu, Hardware
from atelier.launch.torch_table import INDEX, TABLE, choose


def cuda(capability: tuple[int, int] | None, driver: tuple[int, ...], system: str = "Linux") -> Hardware:
    return Hardware("cuda", system, "x86_64", (Gpu("card", capability),), driver)


@pytest.mark.parametrize(
    ("capability", "driver", "tag"),
    [
        ((12, 0), (580, 65), "cu130"),  # RTX 5090
        ((8, 9), (595, 1), "cu130"),  # RTX 4090
        ((7, 5), (580, 0), "cu130"),  # RTX 2080
        ((8, 9), (570, 86), "cu126"),  # a card of today with a driver of yesterday
        ((7, 0), (580, 65), "cu126"),  # V100: CUDA 13 dropped it
        ((6, 1), (580, 65), "cu126"),  # GTX 1080
        ((5, 2), (550, 54), "cu126"),  # GTX 980
        (None, (550, 54), "cu126"),
        ((3, 5), (470, 0), "cpu"),  # Kepler
        ((8, 6), (470, 0), "cpu"),
    ],
)
def test_nvidia(capability: tuple[int, int] | None, driver: tuple[int, ...], tag: str) -> None:
    assert choose(cuda(capability, driver)).tag == tag


def test_a_new_card_with_an_old_driver_gets_its_build_and_a_warning() -> None:
    choice = choose(cuda((12, 0), (570, 86)))
    assert choice.tag == "cu130" and "update it to 580" in choice.warning


def test_an_old_driver_is_told_what_to_do() -> None:
    choice = choose(cuda((8, 6), (470, 0)))
    assert choice.kind == "cpu" and "--reinstall-torch" in choice.warning


def test_windows_needs_a_slightly_newer_driver_for_cuda_12() -> None:
    assert choose(cuda((8, 6), (527, 0), "Windows")).tag == "cpu"
    assert choose(cuda((8, 6), (528, 33), "Windows")).tag == "cu126"


def test_amd_and_its_stand_ins() -> None:
    plain = choose(Hardware("rocm", "Linux", "x86_64", (Gpu("RX 7900", arch="gfx1100"),)))
    assert plain.tag == "rocm7.2" and plain.environment == ()
    close = choose(Hardware("rocm", "Linux", "x86_64", (Gpu("RX 6600", arch="gfx1032"),)))
    assert dict(close.environment) == {"HSA_OVERRIDE_GFX_VERSION": "10.3.0"}


def test_the_others() -> None:
    assert choose(Hardware("xpu", "Linux", "x86_64", (Gpu("Arc"),))).tag == "xpu"
    assert choose(Hardware("mps", "Darwin", "arm64", (Gpu("M3"),))).index_url == ""
    assert choose(Hardware("cpu", "Darwin", "x86_64")).index_url == ""
    choice = choose(Hardware("cpu", "Linux", "x86_64", notes=("a card is built in",)))
    assert choice.index_url == f"{INDEX}/cpu" and "a card is built in" in choice.warning


def test_every_kind_ends_in_a_row_that_always_fits() -> None:
    for kind in ("cuda", "rocm", "xpu", "mps", "cpu"):
        rows = [row for row in TABLE if row.kind == kind]
        assert rows and rows[-1].fits(Hardware(kind, "Linux", "x86_64", (Gpu("x", (4, 0)),)))
    assert all(row.why and row.gigabytes > 0 for row in TABLE)
