"""`modules.ui_common`: parts of the page; the real page is in atelier/web and modules/_host/ui_pieces.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType({
    "plaintext_to_html": "modules._host.ui_pieces:plaintext_to_html",
    "create_refresh_button": "modules._host.ui_pieces:create_refresh_button",
    "create_output_panel": "modules._host.ui_pieces:create_output_panel",
    "OutputPanel": "modules._host.ui_pieces:OutputPanel", "setup_dialog": "modules._host.ui_pieces:setup_dialog",
    "folder_symbol": "modules._host.ui_pieces:folder_symbol",
    "refresh_symbol": "modules._host.ui_pieces:refresh_symbol",
})  # fmt: skip

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
