"""`modules.face_restoration`: face restorers; really in atelier/tools/faces.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType({
    "FaceRestoration": "modules._host.tools:FaceRestoration",
    "restore_faces": "modules._host.tools:restore_faces",
    "shared": "modules.shared",
})  # fmt: skip

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
