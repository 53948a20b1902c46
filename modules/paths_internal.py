"""`modules.paths_internal`: folders; really in atelier/base/paths.py and modules/_host/folders.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType({
    "models_path": "modules._host.folders:models_path", "data_path": "modules._host.folders:data_path",
    "script_path": "modules._host.folders:script_path", "extensions_dir": "modules._host.folders:extensions_dir",
    "extensions_builtin_dir": "modules._host.folders:extensions_builtin_dir", "cwd": "modules._host.folders:cwd",
    "modules_path": "modules._host.folders:modules_path", "sd_configs_path": "modules._host.folders:sd_configs_path",
    "default_output_dir": "modules._host.folders:default_output_dir",
    "config_states_dir": "modules._host.folders:config_states_dir",
})  # fmt: skip

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
