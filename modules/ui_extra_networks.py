"""`modules.ui_extra_networks`: pages of cards; the page's own cards are in atelier/web/cards.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType({
    "ExtraNetworksPage": "modules._host.card_pages:ExtraNetworksPage", "quote_js": "modules._host.card_pages:quote_js",
    "create_ui": "modules._host.card_pages:create_ui", "setup_ui": "modules._host.card_pages:setup_ui",
    "register_page": "@networks.register_page", "extra_pages": "@networks.pages",
})  # fmt: skip

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
