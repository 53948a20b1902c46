"""Extensions on disk: found, ordered, switched on or off, and loaded."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from atelier.base.errors import ExtensionError
from atelier.base.log import fields, logger
from atelier.base.paths import Paths
from atelier.plugins.hooks import HOOK_VERSION
from atelier.plugins.manager import Plugins
from atelier.plugins.metadata import Metadata, read_metadata, sort_after

log = logger(__name__)


@dataclass
class Extension:
    """One folder. `reason` says why it is off or broken, `trace` what was raised; `seconds` is what loading took."""

    name: str
    path: Path
    builtin: bool
    metadata: Metadata
    enabled: bool = True
    reason: str = ""
    traces: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def canonical(self) -> str:
        return self.metadata.name

    @property
    def broken(self) -> bool:
        return bool(self.traces)

    def files(self, folder: str, *suffixes: str) -> tuple[Path, ...]:
        """Files directly inside a sub-folder, sorted by name; suffixes with their dot."""
        root = self.path / folder
        if not root.is_dir():
            return ()
        found = (p for p in root.iterdir() if p.is_file() and (not suffixes or p.suffix.lower() in suffixes))
        return tuple(sorted(found, key=lambda p: p.name.lower()))

    def fail(self, what: str, error: BaseException) -> None:
        self.traces.append(f"{what}\n{''.join(traceback.format_exception(error))}")
        log.error(
            "extension broken: %s", fields(extension=self.name, what=what, error=f"{type(error).__name__}: {error}")
        )


def list_extensions(paths: Paths, disabled: Sequence[str] = (), disable_all: str = "none") -> tuple[Extension, ...]:
    """All extensions, built-in ones first, each group by name, then moved after what they require.

    `disabled` holds folder names; `disable_all` is none, extra (only built-in ones stay on) or all. An extension
    whose requirement is missing stays on, as in A1111; the reason tells of it.
    """
    found: list[Extension] = []
    for root, builtin in ((paths.extensions_builtin, True), (paths.extensions, False)):
        folders = sorted(root.iterdir(), key=lambda p: p.name.lower()) if root.is_dir() else []
        for folder in folders:
            if folder.is_dir() and not folder.name.startswith((".", "_")):
                found.append(Extension(folder.name, folder, builtin, read_metadata(folder)))
    off = {name.lower() for name in disabled}
    for extension in found:
        if disable_all == "all" or (disable_all == "extra" and not extension.builtin):
            extension.enabled, extension.reason = False, "All extensions are disabled in Settings."
        elif extension.name.lower() in off:
            extension.enabled, extension.reason = False, "Disabled in Settings."
        elif any(
            e.canonical == extension.canonical and e is not extension and e.enabled for e in _before(found, extension)
        ):
            extension.enabled, extension.reason = False, f"Another extension is named {extension.canonical}."
    names = {e.canonical for e in found if e.enabled}
    for extension in found:
        missing = [r for r in extension.metadata.requires if not any(a in names for a in r.split("|"))]
        if extension.enabled and missing:
            extension.reason = f"It asks for {', '.join(missing)}, which is not here."
    after = {e.canonical: [a for r in e.metadata.requires for a in r.split("|")] for e in found}
    return tuple(sort_after(found, id, lambda e: [id(o) for o in found if o.canonical in after[e.canonical]]))


def _before(found: list[Extension], extension: Extension) -> list[Extension]:
    return found[: next(i for i, e in enumerate(found) if e is extension)]


def load_file(path: Path, name: str) -> ModuleType:
    """Runs a file as a module of that name, without registering it in `sys.modules`."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ExtensionError(f"{path} cannot be loaded as Python.", extension=path.parent.name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def try_load(extension: Extension, path: Path, name: str) -> ModuleType | None:
    """`load_file` for a file that may do anything: a failure is listed with the extension, and None returned."""
    try:
        return load_file(path, name)
    except (Exception, SystemExit) as error:
        extension.fail(f"{path.parent.name}/{path.name}", error)
        return None


def load_plugins(extensions: Sequence[Extension], plugins: Plugins) -> None:
    """Registers `plugin.py` of every enabled extension; one that fails is listed with its traceback, the rest loads."""
    for extension in extensions:
        path = extension.path / "plugin.py"
        if not extension.enabled or not path.is_file():
            continue
        began = time.perf_counter()
        try:
            _load_plugin(extension, path, plugins)
        except (Exception, SystemExit) as error:
            extension.enabled, extension.reason = False, f"It could not be loaded: {error}"
            extension.fail("plugin.py", error)
        extension.seconds += time.perf_counter() - began


def _load_plugin(extension: Extension, path: Path, plugins: Plugins) -> None:
    name = f"atelier_extension_{extension.canonical.replace('-', '_')}"
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=[str(path.parent)])
    if spec is None or spec.loader is None:
        raise ExtensionError(f"{path} cannot be loaded as Python.", extension=extension.name)
    module = importlib.util.module_from_spec(spec)
    # Registered, so that `from . import x` works inside the extension.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
        _check_version(extension, module)
        plugins.register(getattr(module, "plugin", module), extension.name)
    except BaseException:
        sys.modules.pop(name, None)
        raise


def _check_version(extension: Extension, module: ModuleType) -> None:
    written_for = getattr(module, "HOOKS", None)
    fits = (
        isinstance(written_for, (tuple, list))
        and len(written_for) == 2
        and all(isinstance(v, int) for v in written_for)
    )
    if not fits:
        raise ExtensionError(
            f"{extension.name} does not say for which hooks it was written.",
            remedy=f"Write HOOKS = ({HOOK_VERSION}, {HOOK_VERSION}) into its plugin.py.", extension=extension.name,
        )  # fmt: skip
    low, high = written_for
    if not low <= HOOK_VERSION <= high:
        raise ExtensionError(
            f"{extension.name} was written for hooks {low} to {high}; these are hooks {HOOK_VERSION}.",
            remedy="Look for another version of it.", extension=extension.name,
        )  # fmt: skip


def preload(extensions: Sequence[Extension], parser: argparse.ArgumentParser) -> None:
    """Lets `preload.py` of every enabled extension add command-line flags; user extensions come first, as in A1111."""
    for extension in sorted(extensions, key=lambda e: (e.builtin, e.name.lower())):
        path = extension.path / "preload.py"
        if not extension.enabled or not path.is_file():
            continue
        try:
            function: Any = getattr(load_file(path, "preload.py"), "preload", None)
            if function is not None:
                function(parser)
        except (Exception, SystemExit) as error:
            extension.fail("preload.py", error)


def enter_path(folder: Path) -> None:
    """Puts a folder first on the import path, moving it there if it was on it already."""
    text = os.fspath(folder)
    while text in sys.path:
        sys.path.remove(text)
    sys.path.insert(0, text)


def leave_path(folder: Path) -> None:
    """Moves a folder to the end of the import path: its modules can still be imported, but shadow nothing."""
    text = os.fspath(folder)
    while text in sys.path:
        sys.path.remove(text)
    sys.path.append(text)
