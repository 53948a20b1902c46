"""Registry: named things with aliases, filled while the program starts and frozen after."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Generic, TypeVar

from atelier.base.errors import BadRequest, RegistryError

T = TypeVar("T")


class Registry(Generic[T]):
    """Keeps the order of registration. Look-up ignores case and accepts aliases."""

    def __init__(self, what: str) -> None:
        self.what = what
        self._items: dict[str, T] = {}
        self._names: dict[str, str] = {}
        self._frozen = False

    def add(self, name: str, item: T, aliases: tuple[str, ...] = ()) -> T:
        if self._frozen:
            raise RegistryError(f"The {self.what} registry is frozen; {name!r} came too late.")
        for key in (name, *aliases):
            if key.lower() in self._names:
                raise RegistryError(f"The {self.what} {key!r} is registered twice.")
        self._items[name] = item
        for key in (name, *aliases):
            self._names[key.lower()] = name
        return item

    def freeze(self) -> Registry[T]:
        self._frozen = True
        return self

    def find(self, name: str) -> T | None:
        exact = self._names.get(name.lower())
        return None if exact is None else self._items[exact]

    def get(self, name: str, field: str = "") -> T:
        """Raises `BadRequest` on `field` with the closest names when there is no such item."""
        item = self.find(name)
        if item is None:
            close = difflib.get_close_matches(name.lower(), self._names, n=3)
            hint = ", ".join(dict.fromkeys(self._names[c] for c in close)) or ", ".join(list(self._items)[:8])
            raise BadRequest(field or self.what, f"there is no {self.what} named {name!r}.", remedy=f"Try: {hint}.")
        return item

    def canonical(self, name: str) -> str | None:
        return self._names.get(name.lower())

    def names(self) -> tuple[str, ...]:
        return tuple(self._items)

    def __iter__(self) -> Iterator[T]:
        return iter(self._items.values())

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._names
