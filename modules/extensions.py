"""`modules.extensions`: really in atelier/plugins/discover.py and modules/_host/extension_list.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType({
    "list_extensions": "modules._host.extension_list:list_extensions",
    "active": "modules._host.extension_list:active", "find_extension": "modules._host.extension_list:find_extension",
    "Extension": "modules._host.extension_list:ExtensionView", "extensions": "modules._host.shared_doors:extensions",
    "extensions_dir": "modules._host.folders:extensions_dir",
    "extensions_builtin_dir": "modules._host.folders:extensions_builtin_dir",
})  # fmt: skip

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
