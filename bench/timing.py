"""Rounds: contenders run in turn, A B B A …, and what their figures say against each other."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from torch import nn

#: what one run of a contender gives: figures by name, such as "step" in seconds
Figures = Mapping[str, float]
Work = Callable[[], Figures]


@dataclass(frozen=True)
class Spread:
    """The middle of some values, and the range of their inner half (of all of them where they are fewer than four)."""

    median: float
    low: float
    high: float
    count: int

    @property
    def relative(self) -> float:
        """Width of the inner half over the median; 0 where the median is 0."""
        return abs((self.high - self.low) / self.median) if self.median else 0.0


def spread(values: Sequence[float]) -> Spread:
    """Raises `ValueError` for no values."""
    if not values:
        raise ValueError("there is nothing to take the median of")
    if len(values) < 4:
        return Spread(statistics.median(values), min(values), max(values), len(values))
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(statistics.median(values), low, high, len(values))


def ratios(of: Sequence[float], to: Sequence[float]) -> list[float]:
    """Round by round, so that a machine whose speed drifts changes both sides of each quotient."""
    return [a / b for a, b in zip(of, to, strict=True)]


def differences(of: Sequence[float], minus: Sequence[float]) -> list[float]:
    return [a - b for a, b in zip(of, minus, strict=True)]


@dataclass
class Rounds:
    """The figures of every round, by contender. Every list has the same length."""

    figures: dict[str, list[Figures]] = field(default_factory=dict)

    def __len__(self) -> int:
        return min((len(rows) for rows in self.figures.values()), default=0)

    def values(self, contender: str, figure: str) -> list[float]:
        return [row[figure] for row in self.figures[contender]]

    def spread(self, contender: str, figure: str) -> Spread:
        return spread(self.values(contender, figure))

    def ratio(self, of: str, to: str, figure: str) -> Spread:
        return spread(ratios(self.values(of, figure), self.values(to, figure)))

    def share(self, of: str, minus: str, part: str, whole: str) -> Spread:
        """The difference of one figure, as a share of another one of the contender that is subtracted."""
        apart = differences(self.values(of, part), self.values(minus, part))
        return spread(ratios(apart, self.values(minus, whole)))

    def difference(self, of: str, minus: str, figure: str) -> Spread:
        return spread(differences(self.values(of, figure), self.values(minus, figure)))


@dataclass(frozen=True)
class Effort:
    """How often things are repeated: at least `least` rounds, then until the spread of every contender's `figure`
    against the first one's is below `tolerance`, at most `most` rounds. `warmup` rounds are not counted."""

    least: int = 5
    most: int = 15
    warmup: int = 1
    tolerance: float = 0.02
    figure: str = "step"


def alternate(contenders: Mapping[str, Work], effort: Effort) -> Rounds:
    """Every round runs each contender once, every second round in reverse order: A B B A, so that who comes after whom
    does not count. The spread decides when to end, never the median."""
    for _ in range(effort.warmup):
        for work in contenders.values():
            work()
    rounds = Rounds({name: [] for name in contenders})
    while len(rounds) < effort.most:
        turns = list(contenders.items())
        for name, work in reversed(turns) if len(rounds) % 2 else turns:
            rounds.figures[name].append(work())
        if len(rounds) >= effort.least and _steady(rounds, effort):
            break
    return rounds


def _steady(rounds: Rounds, effort: Effort) -> bool:
    first, *others = rounds.figures
    return all(rounds.ratio(name, first, effort.figure).relative <= effort.tolerance for name in others)


class StepClock:
    """Marks the moments at which steps begin (or end), and gives the figures of a run.

    `settle` waits for work that a device still has in its queue. Figures: "step" and "step_cpu", mean seconds between
    first and last mark; "total" and "total_cpu", seconds of the whole run; "outside", seconds of a step that passed
    outside of the watched module. The processor's figures count all threads of this process, and nothing that other
    programs did.
    """

    def __init__(self, settle: Callable[[], None] = lambda: None) -> None:
        self._settle = settle
        self._marks: list[tuple[float, float, float]] = []
        self._inside = 0.0
        self._began = self._now()

    def mark(self) -> None:
        self._marks.append(self._now())

    @contextmanager
    def watching(self, module: nn.Module) -> Iterator[None]:
        """Counts the time that passes inside of the module's calls. What is left is hardly touched by the noise of a
        busy machine, because the module takes nearly all of a step."""
        entered: list[float] = []

        def enter(*_: object) -> None:
            self._settle()
            entered.append(time.perf_counter())

        def leave(*_: object) -> None:
            self._settle()
            self._inside += time.perf_counter() - entered.pop()

        handles = (module.register_forward_pre_hook(enter), module.register_forward_hook(leave))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def figures(self) -> Figures:
        ended = self._now()
        if len(self._marks) < 2:
            raise ValueError("a step cannot be measured with fewer than two marks")
        (wall, cpu, inside), (last_wall, last_cpu, last_inside) = self._marks[0], self._marks[-1]
        steps = len(self._marks) - 1
        return {
            "step": (last_wall - wall) / steps,
            "step_cpu": (last_cpu - cpu) / steps,
            "outside": (last_wall - wall - (last_inside - inside)) / steps,
            "total": ended[0] - self._began[0],
            "total_cpu": ended[1] - self._began[1],
        }

    def _now(self) -> tuple[float, float, float]:
        self._settle()
        return time.perf_counter(), time.process_time(), self._inside
