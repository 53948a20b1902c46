"""Watch: how work of a tool is followed: a wish to stop is heard, and it is told how far the work is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from atelier.device.recovery import Ladder


def nothing(*values: Any) -> None:
    """What is called when nobody watches."""


@dataclass(frozen=True)
class Watch:
    """`check` raises `Interrupted`; `told(done, total)` hears of pieces of work.

    `tiles` are side and overlap in pixels by the kind of network, under "" for all others; side 0 is no tiling.
    `teller` is the run that is told when memory ran out, `ladder` what is done about it.
    """

    check: Callable[[], Any] = nothing
    told: Callable[[int, int], Any] = nothing
    tiles: Mapping[str, tuple[int, int]] = field(default_factory=lambda: MappingProxyType({}))
    teller: Any = None
    ladder: Ladder | None = None

    def tile(self, kind: str) -> tuple[int, int]:
        return self.tiles.get(kind) or self.tiles.get("") or (192, 8)
