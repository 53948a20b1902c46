"""`modules.util`: small things about files; really in modules/_host/shared_pieces.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType({
    "natural_sort_key": "modules._host.shared_pieces:natural_sort_key",
    "listfiles": "modules._host.shared_pieces:listfiles", "walk_files": "modules._host.shared_pieces:walk_files",
    "html": "modules._host.shared_pieces:html", "html_path": "modules._host.shared_pieces:html_path",
    "ldm_print": "modules._host.shared_pieces:ldm_print",
})  # fmt: skip

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
