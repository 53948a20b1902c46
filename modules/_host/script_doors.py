"""The functions of `modules.scripts` and `modules.script_loading`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from atelier.plugins.discover import load_file, preload
from modules._host import script
from modules._host.attach import host


def basedir() -> str:
    """The extension's folder while its file is being imported, afterwards the program's."""
    return host().loader.basedir()


def list_scripts(scriptdirname: str, extension: str, *, include_extensions: bool = True) -> list[script.ScriptFile]:
    home = host()
    return script.list_scripts(
        scriptdirname, extension, extensions=home.extensions if include_extensions else (), program=home.paths.program
    )


def list_files_with_name(filename: str) -> list[str]:
    """Files of that name in the program's folder and in each extension that is on."""
    home = host()
    roots = [home.paths.program, *(e.path for e in home.extensions if e.enabled)]
    return [str(root / filename) for root in roots if (root / filename).is_file()]


def load_scripts() -> None:
    """Scripts are imported when the program starts."""


reload_scripts = reload_script_body_only = load_scripts


def wrap_call(
    func: Callable[..., Any], filename: str, funcname: str, *args: Any, default: Any = None, **kwargs: Any
) -> Any:
    """The function's value, or `default` when it failed; the failure is its extension's own."""
    return host().guard.call(host().loader.owner(filename), funcname, func, *args, default=default, **kwargs)


def load_module(path: str) -> ModuleType:
    module = load_file(Path(path), os.path.basename(path))
    host().loader.loaded[path] = module
    return module


def preload_extensions(extensions_dir: str, parser: argparse.ArgumentParser, extension_list: Any = None) -> None:
    preload([e for e in host().extensions if str(e.path.parent) == str(extensions_dir)], parser)
