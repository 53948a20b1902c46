"""The Settings tab: every declared setting as a plain form element; javascript/settings.js fills and sends them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from html import escape
from typing import Any

from atelier.app import App
from atelier.params.field import Declaration, declarations_of
from atelier.params.value_json import plain
from atelier.web.markup import markup


def build(app: App) -> None:
    markup(page_of(app), elem_id="settings", classes=["page-part"])


def page_of(app: App) -> str:
    """Sections in the order of their categories. What stands in the quick settings is changed there."""
    quick = set(app.settings.get("quicksettings_list"))
    groups = _by_category(app.settings.groups)
    links, sections = [], []
    for category, members in groups.items():
        links.append(f'<span class="settings-category">{escape(category)}</span>')
        for group in members:
            declared = [d for d in declarations_of(group) if d.name not in quick]
            if not declared:
                continue
            links.append(
                f'<button type="button" data-section="{escape(group.part_name)}">{escape(group.part_title)}</button>'
            )
            fields = "".join(map(field_of, declared))
            sections.append(
                f'<section id="settings_{escape(group.part_name)}" data-section="{escape(group.part_name)}">'
                f"<h3>{escape(group.part_title)}</h3>{fields}</section>"
            )
    bar = (
        '<div class="settings-bar"><input type="search" id="settings_search" placeholder="Search settings" '
        'aria-label="Search settings">'
        '<button type="button" id="settings_submit" class="primary">Apply settings</button>'
        '<button type="button" id="settings_restart_gradio">Reload UI</button><span class="settings-note"></span></div>'
    )
    return (
        f'<atelier-settings>{bar}<div class="settings-page"><nav aria-label="Sections">{"".join(links)}</nav>'
        f'<div class="settings-sections">{"".join(sections)}</div></div></atelier-settings>'
    )


def _by_category(groups: Iterable[Any]) -> dict[str, list[Any]]:
    """Extensions declare groups of their own, often without a category; those come last."""
    found: dict[str, list[Any]] = {}
    for group in groups:
        found.setdefault(group.part_category or "Extensions", []).append(group)
    return found


def field_of(declaration: Declaration, elem_id: str = "") -> str:
    """One setting: label, element, help. Its default stands beside it as JSON, for the way back."""
    told, name = declaration.param, escape(declaration.name, quote=True)
    label = escape(told.label or declaration.name)
    notes = [escape(told.help)] if told.help else []
    if told.restart:
        notes.append("Takes effect at the next start.")
    note = f'<span class="setting-help">{" ".join(notes)}</span>' if notes else ""
    default = escape(json.dumps(plain(declaration.default)), quote=True)
    reset = '<button type="button" class="setting-reset" title="Back to the default" hidden></button>'
    element, kind = _element(declaration)
    body = (
        f'<label>{element}<span class="setting-label">{label}</span></label>'
        if kind == "bool"
        else f'<label><span class="setting-label">{label}</span>{element}</label>'
    )
    # A list is typed; what may stand in it is told beside it.
    listed = isinstance(told.choices, str) and declaration.kind == "list"
    choices = f' data-choices="{escape(told.choices)}"' if listed else ""
    return (
        f'<div class="setting" id="{elem_id or f"setting_{name}"}" data-key="{name}" data-kind="{kind}"{choices} '
        f'data-default="{default}">'
        f"{body}{reset}{note}</div>"
    )


def _element(declaration: Declaration) -> tuple[str, str]:
    """The element, and how its value is read: bool, number, text, lines or choice."""
    told = declaration.param
    if declaration.kind == "bool":
        return '<input type="checkbox">', "bool"
    if declaration.kind in ("list", "dict"):
        return (
            '<textarea rows="2" placeholder="one per line"></textarea>',
            "lines" if declaration.kind == "list" else "json",
        )
    if isinstance(told.choices, tuple):
        options = "".join(f"<option>{escape(str(choice))}</option>" for choice in told.choices)
        return f"<select>{options}</select>", "number" if declaration.kind in ("int", "float") else "text"
    if isinstance(told.choices, str):
        return f'<select data-choices="{escape(told.choices)}"></select>', "text"
    if declaration.kind in ("int", "float"):
        return _number(declaration), "number"
    kind = "color" if told.widget == "color" else "text"
    return f'<input type="{kind}">', "text"


def _number(declaration: Declaration) -> str:
    told = declaration.param
    low, high = told.minimum, told.maximum
    step = told.step if told.step is not None else (1 if declaration.kind == "int" else "any")
    if low is None or high is None:
        return f'<input type="number" step="{step}">'
    limits = f'min="{low:g}" max="{high:g}" step="{step}"'
    # The number box takes what the slider does not reach; the declaration's hard limits are the server's business.
    return f'<span class="setting-slider"><input type="range" {limits}><input type="number" step="{step}"></span>'
