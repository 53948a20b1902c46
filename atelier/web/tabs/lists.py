"""Tabs that are lists made by scripts: Queue, Gallery, Extensions."""

from __future__ import annotations

from atelier.web.markup import markup


def build_queue() -> None:
    """Jobs with their states, to cancel and to move; javascript/queue.js."""
    markup("<atelier-queue></atelier-queue>", elem_id="queue_list", classes=["page-part"])


def build_gallery() -> None:
    """Saved pictures from the index, to search and to use again; javascript/pictures.js."""
    markup("<atelier-pictures></atelier-pictures>", elem_id="gallery_list", classes=["page-part"])


def build_extensions() -> None:
    """Every extension with what it took and what broke; javascript/extensions.js."""
    markup("<atelier-extensions></atelier-extensions>", elem_id="extensions_list", classes=["page-part"])  # fmt: skip
