"""EncodingCache: prompts that were encoded lately need not be encoded again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from atelier.sampling.conditioning import TextEncoding

CACHED_SCHEDULES = 64


class EncodingCache:
    """The encodings used last, by everything that decides them. Cleared when a model is opened or closed."""

    def __init__(self, limit: int = CACHED_SCHEDULES) -> None:
        self._limit = limit
        self._entries: OrderedDict[Hashable, list[TextEncoding]] = OrderedDict()
        self.hits = 0

    def get(self, key: Hashable) -> list[TextEncoding] | None:
        found = self._entries.get(key)
        if found is not None:
            self._entries.move_to_end(key)
            self.hits += 1
        return found

    def put(self, key: Hashable, value: list[TextEncoding]) -> None:
        self._entries[key] = value
        while len(self._entries) > self._limit:
            self._entries.popitem(last=False)

    def clear(self) -> None:
        self._entries.clear()
