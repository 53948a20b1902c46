"""The class of the module `modules.shared`: assigning some of its names means something."""

from __future__ import annotations

import types
from typing import Any

#: names that stand for something of the program; what is assigned to them must not hide it
LIVE = frozenset(("sd_model", "opts", "state", "cmd_opts", "device"))


class _Shared(types.ModuleType):
    def __setattr__(self, name: str, value: Any) -> None:
        if name in LIVE:
            # Which model is open, and the rest, is decided elsewhere; A1111's extensions put back what they found.
            return
        super().__setattr__(name, value)


def shared_module() -> type[types.ModuleType]:
    return _Shared
