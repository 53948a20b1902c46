"""LiveDict: a dictionary that is read from the program at each look."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


class LiveDict(dict):
    """What is put into it is not kept: the program's own lists count."""

    def __init__(self, read: Callable[[], dict[str, Any]]) -> None:
        super().__init__()
        self._now = read

    def __getitem__(self, key: str) -> Any:
        return self._now()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._now())

    def __len__(self) -> int:
        return len(self._now())

    def __contains__(self, key: object) -> bool:
        return key in self._now()

    def get(self, key: str, default: Any = None) -> Any:
        return self._now().get(key, default)

    def keys(self) -> Any:
        return self._now().keys()

    def values(self) -> Any:
        return self._now().values()

    def items(self) -> Any:
        return self._now().items()
