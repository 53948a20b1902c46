"""The Checkpoint Merger tab: every kind of work on weights as a plain form; javascript/merger.js sends it."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from types import MappingProxyType
from typing import Any

from atelier.params.field import Declaration, declarations_of
from atelier.params.merging import REQUESTS
from atelier.web.api.merging import PATHS
from atelier.web.markup import markup
from atelier.web.tabs.settings import field_of

#: the buttons that begin the work, and what is said above the fields
WORDS: Mapping[str, tuple[str, str]] = MappingProxyType({
    "merge": ("Merge", "Two or three checkpoints become one. It is made in passing, so it needs hardly any memory; "
                       "nothing is ever written over."),
    "lora_merge": ("Merge LoRAs", "Several LoRAs become one file that does the same."),
    "lora_extract": ("Extract", "What a tuned model has over its original, as a LoRA."),
    "lora_resize": ("Resize", "A LoRA with fewer ranks, and a smaller file."),
    "lora_bake": ("Bake", "LoRAs become part of a copy of the checkpoint."),
})  # fmt: skip


def build() -> None:
    markup(page(), elem_id="modelmerger", classes=["page-part"])


def page() -> str:
    titles = {kind: escape(cls.part_title) for kind, cls in REQUESTS.items()}
    links = "".join(f'<button type="button" data-section="{k}">{title}</button>' for k, title in titles.items())
    sections = "".join(_section(kind, cls) for kind, cls in REQUESTS.items())
    result = '<div class="merger-result" id="modelmerger_results"></div>'
    return (
        f'<atelier-merger><div class="settings-page"><nav aria-label="Kinds of work">{links}</nav>'
        f'<div class="settings-sections">{sections}{result}</div></div></atelier-merger>'
    )


def _section(kind: str, cls: Any) -> str:
    word, told = WORDS[kind]
    fields = "".join(field_of(declaration, _id(kind, declaration)) for declaration in declarations_of(cls))
    elem_id = f"{_prefix(kind)}_{kind.rpartition('_')[2]}"
    button = f'<button type="button" class="primary" id="{elem_id}">{escape(word)}</button>'
    if kind == "merge":
        told_in_files = "Read metadata from selected checkpoints"
        button += f'<button type="button" id="modelmerger_read_metadata">{told_in_files}</button>'
    return (
        f'<section data-section="{kind}" data-path="{PATHS[kind]}"><h3>{escape(cls.part_title)}</h3>'
        f'<p class="quiet">{escape(told)}</p>{fields}<div class="settings-bar merger-bar">{button}</div></section>'
    )


def _prefix(kind: str) -> str:
    """A1111's ids for the merger of checkpoints, ours for the rest."""
    return "modelmerger" if kind == "merge" else kind


def _id(kind: str, declaration: Declaration) -> str:
    return f"{_prefix(kind)}_{declaration.name}"
