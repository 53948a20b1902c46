"""`modules.scripts_postprocessing`: scripts of the Extras tab; really in modules/_host/postprocessing.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType({
    "ScriptPostprocessing": "modules._host.script:ScriptPostprocessing",
    "PostprocessedImage": "atelier.pipeline.extras_state:PostPicture",
    "ScriptPostprocessingRunner": "modules._host.postprocessing:PostScripts",
    "errors": "modules.errors", "shared": "modules.shared",
})  # fmt: skip

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
