"""The registering functions of `modules.script_callbacks`, and those that remove."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from modules._host.attach import host

Register = Callable[..., None]


def _registering(event: str) -> Register:
    def register(callback: Callable[..., Any], *, name: str | None = None) -> None:
        host().callbacks.add(event, callback, name)

    register.__name__ = register.__qualname__ = f"on_{event}"
    register.__doc__ = f"Registers a function for the moment {event.replace('_', ' ')}."
    return register


on_app_started = _registering("app_started")
on_before_reload = _registering("before_reload")
on_model_loaded = _registering("model_loaded")
on_ui_tabs = _registering("ui_tabs")
on_ui_train_tabs = _registering("ui_train_tabs")
on_ui_settings = _registering("ui_settings")
on_before_image_saved = _registering("before_image_saved")
on_image_saved = _registering("image_saved")
on_extra_noise = _registering("extra_noise")
on_cfg_denoiser = _registering("cfg_denoiser")
on_cfg_denoised = _registering("cfg_denoised")
on_cfg_after_cfg = _registering("cfg_after_cfg")
on_before_component = _registering("before_component")
on_after_component = _registering("after_component")
on_image_grid = _registering("image_grid")
on_infotext_pasted = _registering("infotext_pasted")
on_script_unloaded = _registering("script_unloaded")
on_before_ui = _registering("before_ui")
on_list_optimizers = _registering("list_optimizers")
on_list_unets = _registering("list_unets")
on_before_token_counter = _registering("before_token_counter")


def remove_current_script_callbacks() -> None:
    host().callbacks.remove_current()


def remove_callbacks_for_function(callback_func: Callable[..., Any]) -> None:
    host().callbacks.remove_function(callback_func)


def clear_callbacks() -> None:
    host().callbacks.clear()


def ordered_callbacks(category: str, unordered_callbacks: Any = None, *, enable_user_sort: bool = True) -> list[Any]:
    return host().callbacks.ordered(category)
