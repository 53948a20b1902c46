"""`modules.styles`: prompt styles; really in atelier/prompts/styles.py and modules/_host/shared_pieces.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType({
    "StyleDatabase": "modules._host.shared_pieces:Styles", "PromptStyle": "atelier.prompts.styles:Style",
})  # fmt: skip

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
