"""`modules.options`: really in atelier/params/settings.py and modules/_host/options.py and option_info.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType({
    "OptionInfo": "modules._host.option_info:OptionInfo", "OptionHTML": "modules._host.option_info:OptionHTML",
    "options_section": "modules._host.option_info:options_section", "Options": "modules._host.options:Options",
    "categories": "modules._host.shared_doors:categories",
})  # fmt: skip

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
