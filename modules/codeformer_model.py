"""`modules.codeformer_model`: CodeFormer; really in atelier/tools/codeformer.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType({
    "codeformer": "modules._host.tools:codeformer",
    "setup_model": "modules._host.tools:setup_model",
    "FaceRestorerCodeFormer": "modules._host.tools:ToolRestorer",
})  # fmt: skip

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
