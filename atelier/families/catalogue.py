"""The families, in the order in which a file is held against them."""

from __future__ import annotations

from atelier.families.family import Family
from atelier.families.sd1 import SD1

FAMILIES: tuple[Family, ...] = (SD1,)


def family(name: str) -> Family | None:
    return next((f for f in FAMILIES if f.name == name), None)
