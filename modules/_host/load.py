"""ScriptLoader: imports the files in `scripts/` of every extension, in A1111's order."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from atelier.base.log import fields, logger
from atelier.plugins.discover import Extension, enter_path, leave_path, try_load
from atelier.plugins.metadata import Metadata, sort_after
from modules._host.script import Script, ScriptBuiltinUI, ScriptClassData, ScriptPostprocessing

log = logger(__name__)

BASES = (Script, ScriptBuiltinUI)


class ScriptLoader:
    """`scripts` lists every `Script` class that was found. `loaded` maps a file's path to its module."""

    def __init__(self, extensions: Sequence[Extension], program: Path) -> None:
        self.extensions = tuple(extensions)
        self.program = program
        #: the files in the program's own `scripts/`: those that stand for built-in scripts, and what a user put there
        self.own = Extension("scripts", program, True, Metadata("scripts"))
        self.scripts: list[ScriptClassData] = []
        self.postprocessing: list[ScriptClassData] = []
        self.loaded: dict[str, Any] = {}
        self._importing: list[Extension] = []

    def basedir(self) -> str:
        """The extension's folder while one of its files is being imported, afterwards the program's."""
        return str(self._importing[-1].path if self._importing else self.program)

    def owner(self, file: str | None) -> str:
        """The name of the extension that a file belongs to."""
        if self._importing and file is None:
            return self._importing[-1].name
        for extension in self.extensions:
            if file and Path(file).is_relative_to(extension.path):
                return extension.name
        return self._importing[-1].name if self._importing else "scripts"

    def caller(self) -> tuple[str, str]:
        """(extension, file) of the nearest caller that is not one of the doors."""
        frame = sys._getframe(1)
        own = str(Path(__file__).parents[1])
        while frame is not None:
            file = frame.f_code.co_filename
            if not file.startswith((own, "<")):
                return self.owner(file), file
            frame = frame.f_back
        return self.owner(None), ""

    def load(self) -> None:
        """Imports everything. A file that fails is noted with its traceback; the others are still imported."""
        for extension, path in self._files():
            began = time.perf_counter()
            self._importing.append(extension)
            own = extension is self.own
            if not own:
                enter_path(extension.path)
            try:
                self._import(extension, path)
            finally:
                self._importing.pop()
                if not own:
                    leave_path(extension.path)
                extension.seconds += time.perf_counter() - began

    def _import(self, extension: Extension, path: Path) -> None:
        # The module's name is the file's name with its ending: extensions look each other up by it.
        module = try_load(extension, path, path.name)
        if module is None:
            extension.reason = extension.reason or f"scripts/{path.name} could not be loaded."
            return
        self.loaded[str(path)] = module
        for value in list(vars(module).values()):
            if isinstance(value, type) and issubclass(value, Script) and value not in BASES:
                self.scripts.append(ScriptClassData(value, str(path), str(extension.path), module))
            elif isinstance(value, type) and issubclass(value, ScriptPostprocessing):
                if value is not ScriptPostprocessing:
                    self.postprocessing.append(ScriptClassData(value, str(path), str(extension.path), module))
        log.debug("script loaded: %s", fields(extension=extension.name, file=path.name))

    def _files(self) -> list[tuple[Extension, Path]]:
        files = [(e, path) for e in (self.own, *self.extensions) if e.enabled for path in e.files("scripts", ".py")]
        after: dict[Path, list[Path]] = {path: [] for _, path in files}
        for extension, path in files:
            requires, before, follows = extension.metadata.order("scripts", path.name)
            after[path] += [p for e, p in files if _named(e, p, (*requires, *follows)) and p != path]
            for other_extension, other in files:
                if _named(other_extension, other, before) and other != path:
                    after[other].append(path)
        return sort_after(files, lambda item: item[1], lambda item: after[item[1]])


def _named(extension: Extension, path: Path, names: Sequence[str]) -> bool:
    prefix = "builtin/" if extension.builtin else ""
    own = (prefix + extension.canonical, f"{prefix}{extension.canonical}/{path.name.lower()}")
    return any(alternative in own for name in names for alternative in name.split("|"))
