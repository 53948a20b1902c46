"""`modules.errors`: failures; really in atelier/plugins/guard.py and modules/_host/errors.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType({
    "report": "modules._host.errors:report", "display": "modules._host.errors:display",
    "display_once": "modules._host.errors:display_once",
    "print_error_explanation": "modules._host.errors:print_error_explanation", "run": "modules._host.errors:run",
    "record_exception": "modules._host.errors:record_exception",
    "get_exceptions": "modules._host.errors:get_exceptions",
})  # fmt: skip

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
