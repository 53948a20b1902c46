"""The folders of the program as texts, which is what A1111 extensions work with."""

from __future__ import annotations

import os
from types import MappingProxyType
from typing import Any

from modules._host.attach import current


class Folders:
    """Read at each look, since a test, or a program embedded in another, may attach anew."""

    def __getattr__(self, name: str) -> str:
        attached = current()
        if attached is None or name.startswith("__"):
            # Without a program the folders are those of the working directory, as for an install script.
            return os.path.abspath(_FALLBACK.get(name, "."))
        return str(getattr(attached.paths, name))


_FALLBACK = MappingProxyType({
    "models": "models", "extensions": "extensions", "extensions_builtin": "extensions-builtin", "outputs": "outputs",
})  # fmt: skip

view = Folders()
cwd = os.getcwd()


def folder_of(kind: str) -> str:
    """A folder below the models folder."""
    return os.path.join(view.models, kind)


def __getattr__(name: str) -> Any:
    if name in _PLAIN:
        return getattr(view, _PLAIN[name])
    if name in _BELOW:
        return os.path.join(view.program, *_BELOW[name])
    if name == "paths":
        return {"Stable Diffusion": view.program}
    raise AttributeError(name)


_PLAIN = MappingProxyType({
    "script_path": "program", "data_path": "data", "models_path": "models", "extensions_dir": "extensions",
    "extensions_builtin_dir": "extensions_builtin", "default_output_dir": "outputs",
    # A1111 keeps a clone of the original model code there; nothing here needs one.
    "sd_path": "program",
})  # fmt: skip
_BELOW = MappingProxyType({
    "modules_path": ("modules",), "config_states_dir": ("config_states",),
    "sd_configs_path": ("atelier", "families", "assets"),
})  # fmt: skip
