"""`modules.gfpgan_model`: GFPGAN; really in atelier/tools/faces.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType({
    "gfpgan_fix_faces": "modules._host.tools:gfpgan_fix_faces",
    "gfpgan_face_restorer": "modules._host.tools:gfpgan_face_restorer",
    "setup_model": "modules._host.tools:setup_model",
})  # fmt: skip

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
