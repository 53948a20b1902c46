"""`modules.infotext_utils`: parameters read from text, and the fields that they are pasted into."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from atelier.params.infotext import parse_infotext
from modules._host.attach import host


def parse_generation_parameters(x: str, skip_fields: Iterable[str] | None = None) -> dict[str, Any]:
    """Keys as written, with "Prompt" and "Negative prompt"; `Size: 512x768` becomes `Size-1` and `Size-2`."""
    skip = tuple(skip_fields) if skip_fields is not None else tuple(host().options.infotext_skip_pasting)
    return parse_infotext(x, skip=skip)


class PasteField(tuple):
    """(component, infotext label or function(dict)), with the name that the HTTP API uses."""

    def __new__(cls, component: Any, target: Any, *, api: str | None = None) -> PasteField:
        return super().__new__(cls, (component, target))

    def __init__(self, component: Any, target: Any, *, api: str | None = None) -> None:
        super().__init__()
        self.api = api
        self.component = component
        self.label = target if isinstance(target, str) else None
        self.function = target if callable(target) else None


def create_override_settings_dict(text_pairs: Iterable[str]) -> dict[str, Any]:
    """Settings from texts "label: value", with the labels that infotext has for them."""
    declared = {d.param.infotext: d for d in host().settings.declarations.values() if d.param.infotext}
    found = {}
    for pair in text_pairs:
        label, _, value = pair.partition(":")
        declaration = declared.get(label.strip())
        if declaration is not None:
            found[declaration.name] = declaration.check(value.strip())
    return found
