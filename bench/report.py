"""Figure: one measured value with its target, and how all of them become a table and a JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from atelier.base.files import write_text
from bench.timing import Spread


@dataclass(frozen=True)
class Figure:
    """`value` in `unit`; `low` and `high` are the inner half of its rounds. `limit` is the most that the target
    allows, None where there is no target. A figure with a `note` and no value could not be measured here."""

    name: str
    what: str
    unit: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    rounds: int = 1
    limit: float | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """ "met", "missed", or "" where there is no target or no value."""
        if self.limit is None or self.value is None:
            return ""
        return "met" if self.value <= self.limit else "missed"

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "verdict": self.verdict}


def figure(
    name: str, what: str, unit: str, found: Spread, *, scale: float = 1.0, limit: float | None = None, note: str = ""
) -> Figure:
    """A figure of a spread, whose values are multiplied by `scale` to come to `unit`."""
    low, high = sorted((found.low * scale, found.high * scale))
    return Figure(name, what, unit, found.median * scale, low, high, found.count, limit, note)


def over(name: str, what: str, found: Spread, *, limit: float | None = None, note: str = "") -> Figure:
    """A figure in percent of a ratio's spread: 1.03 becomes 3 %."""
    more = Spread(found.median - 1, found.low - 1, found.high - 1, found.count)
    return figure(name, what, "%", more, scale=100.0, limit=limit, note=note)


def table(figures: Sequence[Figure]) -> str:
    rows = [("figure", "median", "inner half", "rounds", "target", "verdict")]
    for item in figures:
        target = "" if item.limit is None else f"<= {number(item.limit)} {item.unit}"
        middle = "-" if item.value is None else f"{number(item.value)} {item.unit}"
        inner = "" if item.low is None or item.high is None else f"{number(item.low)} to {number(item.high)}"
        rows.append((item.what, middle, inner, str(item.rounds), target, item.verdict))
        if item.note:
            rows.append((f"  {item.note}", "", "", "", "", ""))
    widths = [max(len(row[i]) for row in rows if row[1] or i == 0) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def number(value: float) -> str:
    """Three digits that count, without an exponent."""
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 else f"{value:.6f}"


def write_report(path: Path, machine: Mapping[str, Any], figures: Sequence[Figure]) -> None:
    """Raises `SaveFailed`."""
    report = {"machine": dict(machine), "figures": [item.to_json() for item in figures]}
    write_text(path, json.dumps(report, indent=1) + "\n")
