"""`modules.infotext_utils`: really in atelier/params/infotext.py and modules/_host/infotext_paste.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType({
    "parse_generation_parameters": "modules._host.infotext_paste:parse_generation_parameters",
    "PasteField": "modules._host.infotext_paste:PasteField",
    "create_override_settings_dict": "modules._host.infotext_paste:create_override_settings_dict",
    "quote": "atelier.params.infotext:quote", "unquote": "atelier.params.infotext:unquote",
})  # fmt: skip

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
