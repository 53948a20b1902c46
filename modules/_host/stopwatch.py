"""`modules.timer`: how long the parts of something take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from atelier.base.log import fields, logger

log = logger(__name__)


class Timer:
    """`record` gives the time since the last record to a category."""

    def __init__(self, print_log: bool = False) -> None:
        self.print_log = print_log
        self.reset()

    def reset(self) -> None:
        self.start = time.time()
        self.records: dict[str, float] = {}
        self.total = 0.0
        self.base_category = ""

    def elapsed(self) -> float:
        """Seconds since the last time that it was asked."""
        now = time.time()
        passed, self.start = now - self.start, now
        return passed

    def add_time_to_record(self, category: str, amount: float) -> None:
        self.records[category] = self.records.get(category, 0.0) + amount

    def record(self, category: str, extra_time: float = 0, disable_log: bool = False) -> None:
        passed = self.elapsed()
        self.add_time_to_record(self.base_category + category, passed + extra_time)
        self.total += passed + extra_time
        if self.print_log and not disable_log:
            log.info("timed: %s", fields(category=self.base_category + category, seconds=round(passed + extra_time, 3)))

    @contextmanager
    def subcategory(self, name: str) -> Iterator[None]:
        before, began = self.base_category, time.time()
        self.elapsed()
        self.base_category = f"{before}{name}/"
        try:
            yield
        finally:
            self.base_category = before
            self.add_time_to_record(before + name, time.time() - began)

    def summary(self) -> str:
        parts = [f"{name}: {seconds:.1f}s" for name, seconds in self.records.items() if seconds >= 0.1]
        return f"{self.total:.1f}s" + (f" ({', '.join(parts)})" if parts else "") + "."

    def dump(self) -> dict[str, Any]:
        return {"total": self.total, "records": self.records}
