"""Callbacks: what extensions registered with `script_callbacks.on_...`, and how each event reaches them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from atelier.plugins.guard import Guard
from modules._host.load import ScriptLoader

#: the registering function's name without `on_` -> the category in which A1111 keeps its callbacks
EVENTS = MappingProxyType({
    "app_started": "callbacks_app_started",
    "before_reload": "callbacks_on_reload",
    "model_loaded": "callbacks_model_loaded",
    "ui_tabs": "callbacks_ui_tabs",
    "ui_train_tabs": "callbacks_ui_train_tabs",
    "ui_settings": "callbacks_ui_settings",
    "before_image_saved": "callbacks_before_image_saved",
    "image_saved": "callbacks_image_saved",
    "extra_noise": "callbacks_extra_noise",
    "cfg_denoiser": "callbacks_cfg_denoiser",
    "cfg_denoised": "callbacks_cfg_denoised",
    "cfg_after_cfg": "callbacks_cfg_after_cfg",
    "before_component": "callbacks_before_component",
    "after_component": "callbacks_after_component",
    "image_grid": "callbacks_image_grid",
    "infotext_pasted": "callbacks_infotext_pasted",
    "script_unloaded": "callbacks_script_unloaded",
    "before_ui": "callbacks_before_ui",
    "list_optimizers": "callbacks_list_optimizers",
    "list_unets": "callbacks_list_unets",
    "before_token_counter": "callbacks_before_token_counter",
})  # fmt: skip


@dataclass(frozen=True)
class ScriptCallback:
    script: str
    callback: Callable[..., Any]
    name: str = ""
    extension: str = ""


class Callbacks:
    """One list for each event, in order of registration."""

    def __init__(self, loader: ScriptLoader, guard: Guard) -> None:
        self.loader = loader
        self.guard = guard
        self.callback_map: dict[str, list[ScriptCallback]] = {category: [] for category in EVENTS.values()}

    def add(self, event: str, callback: Callable[..., Any], name: str | None = None) -> None:
        extension, file = self.loader.caller()
        self.callback_map[EVENTS[event]].append(ScriptCallback(file, callback, name or "", extension))

    def listening(self, event: str) -> bool:
        return bool(self.callback_map[EVENTS[event]])

    def of(self, event: str) -> tuple[ScriptCallback, ...]:
        return tuple(self.callback_map[EVENTS[event]])

    def fire(self, event: str, *args: Any, **kwargs: Any) -> None:
        """Calls all; what one raises is its extension's own failure."""
        for _ in self.results(event, *args, **kwargs):
            pass

    def results(self, event: str, *args: Any, **kwargs: Any) -> Iterator[tuple[ScriptCallback, Any]]:
        for entry in self.of(event):
            yield entry, self.guard.call(entry.extension, f"on_{event}", entry.callback, *args, **kwargs)

    def remove_function(self, function: Callable[..., Any]) -> None:
        for entries in self.callback_map.values():
            entries[:] = [e for e in entries if e.callback is not function and e.callback != function]

    def remove_current(self) -> None:
        """Removes every callback that the calling file registered."""
        _, file = self.loader.caller()
        for entries in self.callback_map.values():
            entries[:] = [e for e in entries if e.script != file]

    def ordered(self, category: str) -> list[ScriptCallback]:
        name = category if category.startswith("callbacks_") else f"callbacks_{category}"
        return list(self.callback_map.get(name, ()))

    def clear(self) -> None:
        for entries in self.callback_map.values():
            entries.clear()
