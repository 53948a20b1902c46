"""`modules.paths`: folders; really in atelier/base/paths.py and modules/_host/folders.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType({
    "models_path": "modules._host.folders:models_path", "data_path": "modules._host.folders:data_path",
    "script_path": "modules._host.folders:script_path", "extensions_dir": "modules._host.folders:extensions_dir",
    "extensions_builtin_dir": "modules._host.folders:extensions_builtin_dir", "cwd": "modules._host.folders:cwd",
    "sd_path": "modules._host.folders:sd_path", "paths": "modules._host.folders:paths",
    "modules_path": "modules._host.folders:modules_path",
})  # fmt: skip

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
