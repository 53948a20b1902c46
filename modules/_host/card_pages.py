"""ExtraNetworksPage: what extensions build A1111's pages of cards from. The program's own cards are in atelier/web."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from atelier.base.log import fields, logger

log = logger(__name__)


class ExtraNetworksPage:
    """An extension's page. It can be registered and asked for its items; Atelier's tabs do not show it."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.name = title.lower()
        self.id_page = self.name.replace(" ", "_")
        self.extra_networks_tabname = self.id_page
        self.allow_prompt = True
        self.allow_negative_prompt = False
        self.metadata: dict[str, Any] = {}
        self.items: dict[str, Any] = {}
        self.lister: Any = None

    def refresh(self) -> None:
        """Called before the items are listed again."""

    def create_item(self, name: str, index: int | None = None, enable_filter: bool = True) -> dict[str, Any] | None:
        raise NotImplementedError

    def list_items(self) -> Iterator[dict[str, Any]]:
        raise NotImplementedError

    def allowed_directories_for_previews(self) -> list[str]:
        return []

    def get_sort_keys(self, path: str) -> dict[str, Any]:
        """What A1111 sorts cards by. Raises `OSError` for a file that is gone."""
        file = Path(path)
        stat = file.stat()
        return {
            "date_created": int(stat.st_ctime), "date_modified": int(stat.st_mtime), "name": file.name.lower(),
            "path": str(file).lower(),
        }  # fmt: skip


def quote_js(text: str) -> str:
    """A text as a string of JavaScript in double quotes."""
    return json.dumps(text, ensure_ascii=False)


def create_ui(interface: Any, unrelated_tabs: Any, tabname: str) -> SimpleNamespace:
    """The cards of a tab are on the page already; what is returned only answers to A1111's names."""
    return SimpleNamespace(pages=[], stored_extra_pages=[], tabname=tabname)


def setup_ui(ui: Any, gallery: Any) -> None:
    """The cards follow their gallery without it."""


def register(pages: list[Any], page: Any) -> None:
    pages.append(page)
    log.warning("page of cards is not shown: %s", fields(title=getattr(page, "title", "")))
