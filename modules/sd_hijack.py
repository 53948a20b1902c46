"""`modules.sd_hijack`: embeddings and layers; really in atelier/checkpoints and modules/_host/hijack.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType({
    "model_hijack": "modules._host.hijack:model_hijack",
    "StableDiffusionModelHijack": "modules._host.hijack:ModelHijack",
    "EmbeddingsWithFixes": "modules._host.hijack:EmbeddingsView",
})  # fmt: skip

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
