"""Settings: typed values that outlive a request; snapshots, overlays, saving, change events."""

from __future__ import annotations

import difflib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from atelier.base.errors import BadRequest, SaveFailed
from atelier.base.files import write_text
from atelier.base.log import fields, logger
from atelier.params.field import Declaration, declarations_of

log = logger(__name__)


class SettingsSnapshot(Mapping[str, Any]):
    """All settings at one moment, frozen; read as `snapshot.samples_format`."""

    def __init__(self, values: Mapping[str, Any], declarations: Mapping[str, Declaration]) -> None:
        self._values = dict(values)
        self._declarations = declarations

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __getattr__(self, key: str) -> Any:
        if key.startswith("_") or key not in self._values:
            raise AttributeError(key)
        return self._values[key]

    def overlaid(self, overrides: Mapping[str, Any]) -> SettingsSnapshot:
        """A copy with some values replaced; raises `BadRequest` naming the setting."""
        values = dict(self._values)
        for key, value in overrides.items():
            declaration = self._declarations.get(key)
            if declaration is None:
                raise unknown_setting(key, self._declarations)
            try:
                values[key] = declaration.check(value)
            except BadRequest as error:
                # Users know settings by their keys, not by the part that declares them.
                message = error.message.removeprefix(f"{error.field}: ")
                raise BadRequest(f"settings.{key}", message, remedy=error.remedy) from error
        return SettingsSnapshot(values, self._declarations)


def unknown_setting(key: str, known: Mapping[str, Declaration]) -> BadRequest:
    close = difflib.get_close_matches(key, known, n=3)
    remedy = f"Did you mean {', '.join(close)}?" if close else "See Settings for the names."
    return BadRequest(f"settings.{key}", "there is no such setting.", remedy=remedy)


class Settings:
    """Keeps settings in one JSON file.

    A key of the file that nothing declares is kept, written back, and reported in `unknown`: it may belong to an
    extension that is switched off. A value that does not fit its declaration is reported in `rejected` and the
    default is used, but the file keeps it until that setting is changed.
    """

    def __init__(self, path: Path, groups: tuple[type, ...], changed: Callable[[tuple[str, ...]], None] | None = None):
        self.path = path
        self.groups: tuple[type, ...] = ()
        self.declarations: dict[str, Declaration] = {}
        self.unknown: dict[str, Any] = {}
        self.rejected: dict[str, str] = {}
        self._values: dict[str, Any] = {}
        self._changed = changed
        self._lock = threading.RLock()
        self.unknown.update(self._read())
        for group in groups:
            self.declare(group)
        if self.unknown:
            log.warning("settings file has unknown keys, kept: %s", fields(keys=",".join(sorted(self.unknown))))

    def declare(self, group: type) -> None:
        """Adds a group of settings; values waiting in the file are taken up."""
        with self._lock:
            self.groups = (*self.groups, group)
            for declaration in declarations_of(group):
                self.add(declaration)

    def add(self, declaration: Declaration) -> None:
        """Adds one setting. Declaring a name again replaces its declaration and keeps its value."""
        with self._lock:
            key = declaration.name
            self.declarations[key] = declaration
            waiting = self.unknown.pop(key, self._values.get(key, declaration.default))
            try:
                self._values[key] = declaration.check(waiting)
            except BadRequest as error:
                self.rejected[key] = error.message
                self._values[key] = declaration.default
                self.unknown[key] = waiting
                log.warning("setting in the file does not fit, default used: %s", fields(key=key, reason=error.message))

    def snapshot(self) -> SettingsSnapshot:
        with self._lock:
            return SettingsSnapshot(self._values, dict(self.declarations))

    def get(self, key: str) -> Any:
        return self._values[key]

    def update(self, values: Mapping[str, Any], *, save: bool = True) -> tuple[str, ...]:
        """Checks all, then sets all, then saves. Returns the keys that changed. Raises `BadRequest`, `SaveFailed`."""
        with self._lock:
            checked = {}
            for key, value in values.items():
                declaration = self.declarations.get(key)
                if declaration is None:
                    raise unknown_setting(key, self.declarations)
                checked[key] = declaration.check(value)
            changed = tuple(key for key, value in checked.items() if self._values.get(key) != value)
            before = {key: self._values[key] for key in changed}
            self._values.update(checked)
            for key in checked:
                self.rejected.pop(key, None)
                self.unknown.pop(key, None)
            if save and changed:
                try:
                    self.save()
                except SaveFailed:
                    self._values.update(before)
                    raise
        if changed and self._changed is not None:
            self._changed(changed)
        return changed

    def save(self) -> None:
        with self._lock:
            data = {**self.unknown, **{k: v for k, v in self._values.items() if k not in self.unknown}}
            write_text(self.path, json.dumps(data, indent=4, ensure_ascii=False, default=list))

    def _read(self) -> dict[str, Any]:
        if not self.path.exists():
            return {}
        try:
            data = json.loads(self.path.read_text("utf-8-sig"))
            if not isinstance(data, dict):
                raise ValueError("not an object")
            return data
        except ValueError as error:
            aside = self.path.with_suffix(f".damaged-{int(self.path.stat().st_mtime)}.json")
            self.path.replace(aside)
            log.error("settings file is damaged, defaults are used: %s", fields(reason=str(error), kept=str(aside)))
            return {}
