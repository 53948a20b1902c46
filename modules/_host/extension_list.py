"""`modules.extensions`: the installed extensions under A1111's names."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from modules._host.attach import host
from modules._host.script import ScriptFile


class ExtensionView:
    """One extension, as extensions look for each other."""

    def __init__(self, extension: Any) -> None:
        self.name = extension.name
        self.canonical_name = extension.canonical
        self.path = str(extension.path)
        self.enabled = extension.enabled
        self.is_builtin = extension.builtin
        self.status = extension.reason
        self.can_update = False
        self.remote = self.branch = self.commit_hash = self.version = None
        self.commit_date = 0
        self.metadata = SimpleNamespace(canonical_name=extension.canonical, config=extension.metadata.sections)
        self._extension = extension

    def list_files(self, subdir: str, extension: str) -> list[ScriptFile]:
        return [
            ScriptFile(self.path, p.name, str(p)) for p in self._extension.files(subdir) if p.name.endswith(extension)
        ]

    def read_info_from_repo(self) -> None:
        """The extensions tab tells of versions."""


def list_extensions() -> list[ExtensionView]:
    return [ExtensionView(extension) for extension in host().extensions]


def active() -> list[ExtensionView]:
    return [view for view in list_extensions() if view.enabled]


def find_extension(filename: str) -> ExtensionView | None:
    owner = host().loader.owner(filename)
    return next((view for view in list_extensions() if view.name == owner), None)
