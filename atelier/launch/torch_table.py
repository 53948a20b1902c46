"""Which build of torch fits which hardware: one table, read from the top; the first row that fits is taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

from atelier.launch.hardware import Hardware

INDEX = "https://download.pytorch.org/whl"


@dataclass(frozen=True)
class Row:
    """`tag` is the build's name in torch's version and the folder of the index; "" is the ordinary index.

    `gigabytes` is the room that the installed build takes, dependencies included.
    """

    tag: str
    kind: str
    fits: Callable[[Hardware], bool]
    why: str
    warning: str = ""
    gigabytes: float = 2.0


@dataclass(frozen=True)
class Choice:
    """A row, with what the user should know and what must stand in the program's environment variables."""

    tag: str
    kind: str
    why: str
    warning: str
    gigabytes: float
    environment: tuple[tuple[str, str], ...] = ()

    @property
    def index_url(self) -> str:
        return f"{INDEX}/{self.tag}" if self.tag else ""


def _capability(hardware: Hardware) -> tuple[int, int]:
    """The best card's compute capability; an unknown one (old driver) counts as Pascal's."""
    return max((gpu.capability or (6, 1) for gpu in hardware.gpus), default=(0, 0))


def _windows(hardware: Hardware) -> bool:
    return hardware.system == "Windows"


def _cuda13(hardware: Hardware) -> bool:
    # CUDA 13 needs driver 580 or newer on Linux and Windows, and dropped everything before Turing (7.5).
    return hardware.driver >= (580,) and _capability(hardware) >= (7, 5)


def _cuda12(hardware: Hardware) -> bool:
    # The 12.6 build has kernels from Maxwell (5.0) to Hopper (9.0) and runs on drivers since 525 (Windows: 528).
    needed = (528,) if _windows(hardware) else (525,)
    return hardware.driver >= needed and (5, 0) <= _capability(hardware) < (10, 0)


# Builds that exist for torch 2.13.0: cu126, cu130 (also the ordinary Linux build), rocm7.2, xpu, cpu.
TABLE: tuple[Row, ...] = (
    Row("cu130", "cuda", _cuda13, "the driver runs CUDA 13 and the card is Turing or newer", gigabytes=7),
    Row("cu126", "cuda", _cuda12, "the card or its driver is too old for CUDA 13, so CUDA 12.6 is used", gigabytes=6.5),
    Row("cu130", "cuda", lambda h: _capability(h) >= (10, 0), "the card is Blackwell or newer",
        "The NVIDIA driver is too old for this card's build: update it to 580 or newer.", gigabytes=7),
    Row("cpu", "cuda", lambda h: _capability(h) < (5, 0), "the card is older than Maxwell",
        "No current torch has kernels for this card, so the CPU is used."),
    Row("cpu", "cuda", lambda h: True, "the NVIDIA driver is too old",
        "Update the NVIDIA driver to 580 or newer, then run: python launch.py prepare --reinstall-torch"),
    Row("rocm7.2", "rocm", lambda h: True, "an AMD card with ROCm was found", gigabytes=16),
    Row("xpu", "xpu", lambda h: True, "an Intel card with XPU support was found", gigabytes=6),
    Row("", "mps", lambda h: True, "Apple silicon uses Metal, which the ordinary build contains", gigabytes=1.5),
    Row("", "cpu", lambda h: h.system == "Darwin", "no usable graphics device was found"),
    Row("cpu", "cpu", lambda h: True, "no usable graphics device was found"),
)  # fmt: skip

# AMD cards without kernels of their own that run those of a close relative.
GFX_STAND_INS = MappingProxyType({
    "gfx1031": "10.3.0", "gfx1032": "10.3.0", "gfx1033": "10.3.0", "gfx1034": "10.3.0", "gfx1035": "10.3.0",
    "gfx1036": "10.3.0", "gfx1103": "11.0.0",
})  # fmt: skip


def choose(hardware: Hardware) -> Choice:
    """The build for this hardware, and why."""
    row = next(row for row in TABLE if row.kind == hardware.kind and row.fits(hardware))
    stand_in = GFX_STAND_INS.get(hardware.gpus[0].arch) if hardware.kind == "rocm" else None
    environment = (("HSA_OVERRIDE_GFX_VERSION", stand_in),) if stand_in else ()
    warning = " ".join(filter(None, (row.warning, *(f"Note: {note}." for note in hardware.notes))))
    return Choice(row.tag, "cpu" if row.tag == "cpu" else hardware.kind, row.why, warning, row.gigabytes, environment)
