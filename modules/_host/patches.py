"""`modules.patches`: how an extension puts a function in the place of another and takes it back."""

from __future__ import annotations

from collections import defaultdict
from typing import Any


class Patches:
    """`originals` maps a key to {(object, field): original}."""

    def __init__(self) -> None:
        self.originals: defaultdict[Any, dict[tuple[Any, str], Any]] = defaultdict(dict)

    def patch(self, key: Any, obj: Any, field: str, replacement: Any) -> Any:
        """Returns the original. Raises `RuntimeError` when this key has patched that place already."""
        place = (obj, field)
        if place in self.originals[key]:
            raise RuntimeError(f"patch for {field} is already applied")
        original = getattr(obj, field)
        self.originals[key][place] = original
        setattr(obj, field, replacement)
        return original

    def undo(self, key: Any, obj: Any, field: str) -> None:
        """Raises `RuntimeError` when there is nothing to undo."""
        place = (obj, field)
        if place not in self.originals[key]:
            raise RuntimeError(f"there is no patch for {field} to undo")
        setattr(obj, field, self.originals[key].pop(place))

    def original(self, key: Any, obj: Any, field: str) -> Any:
        return self.originals[key].get((obj, field))


patches = Patches()
