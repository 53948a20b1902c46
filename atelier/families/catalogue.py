"""The families, in the order in which a file is held against them."""

from __future__ import annotations

from atelier.families.family import Family
from atelier.families.sd1 import SD1
from atelier.families.sd2 import SD2
from atelier.families.sdxl import SDXL
from atelier.families.sdxl_refiner import SDXL_REFINER

FAMILIES: tuple[Family, ...] = (SD1, SD2, SDXL, SDXL_REFINER)


def family(name: str) -> Family | None:
    return next((f for f in FAMILIES if f.name == name), None)
