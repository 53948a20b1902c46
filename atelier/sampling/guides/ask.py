"""Ask: a further guess of the network that a guidance method needs beside those with and without the prompt."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from atelier.sampling.step import Row, Step


@dataclass(frozen=True)
class Question:
    """What is asked: the rows of the step at `places` once more, with `x` as their latents."""

    places: tuple[int, ...]
    x: Tensor  # [len(places), C, H, W]


class Ask(ABC):
    """What the denoiser wants to know of one further guess; samplers and hooks do not notice that it is made.

    The guess stands in `step.further[name]` when guidance is combined, one row a place of the question.
    """

    name: str

    def wanted(self, step: Step) -> bool:
        """Decided before the usual guesses are made."""
        return True

    def watching(self, step: Step) -> AbstractContextManager[Any]:
        """In force while the usual guesses are made."""
        return nullcontext()

    def watched(self, rows: Sequence[Row]) -> None:  # noqa: B027 - most asks watch nothing
        """One call for these rows is done; a step may take several."""

    @abstractmethod
    def question(self, step: Step) -> Question:
        """Which rows are asked for once more."""

    def applied(self, step: Step) -> AbstractContextManager[Any]:
        """In force while the further guess is made."""
        return nullcontext()


def asks_of(guidance: Any) -> Iterator[Ask]:
    """Those of a guidance method and of all that it stands around."""
    while guidance is not None:
        own = getattr(guidance, "ask", None)
        if own is not None:
            yield own
        guidance = getattr(guidance, "inner", None)


def within(step: Step, start: float, end: float) -> bool:
    """Whether the call is in this part of the way."""
    share = step.index / step.total if step.total else 0.0
    return start <= share <= end
