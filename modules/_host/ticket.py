"""Ticket: what the host remembers of one run, and the stack of runs that a thread is in."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from atelier.pipeline.state import Picture, Run

#: the key under which a run's notes hold its ticket
NOTE = "a1111"


@dataclass
class Ticket:
    """`p` is the draft that scripts see. `outer` is the run that this one was started from."""

    p: Any
    run: Run | None = None
    outer: Ticket | None = None
    #: a run that `process_images` started: its scripts are not run a second time
    inner: bool = False
    #: the selected script, or an assigned-over function, will make the pictures
    taken: bool = False
    taking: bool = False
    #: a built-in script, or a batch of pictures, makes the result by runs inside this one
    hosting: bool = False
    #: how the run speaks to the program, before the host began to listen
    publish: Callable[[Any], Any] | None = None
    processed: Any = None
    written: set[str] = field(default_factory=set)
    said: set[str] = field(default_factory=set)
    #: pictures made by runs inside this one: id of the image -> (image, picture)
    made: dict[int, tuple[Any, Picture]] = field(default_factory=dict)
    shown: int = 0
    #: files that runs inside this one have told of
    told: set[str] = field(default_factory=set)
    networks: Any = None
    last_saved: Any = None


class Tickets:
    """The runs that the calling thread is in, innermost last."""

    def __init__(self) -> None:
        self._local = threading.local()

    @property
    def _stack(self) -> list[Ticket]:
        if not hasattr(self._local, "stack"):
            self._local.stack = []
        return self._local.stack

    @property
    def current(self) -> Ticket | None:
        return self._stack[-1] if self._stack else None

    @property
    def run(self) -> Run | None:
        for ticket in reversed(self._stack):
            if ticket.run is not None:
                return ticket.run
        return None

    def hand_over(self, ticket: Ticket | None) -> None:
        """The ticket of the run that this thread is about to begin."""
        self._local.next = ticket

    def handed_over(self) -> Ticket | None:
        ticket, self._local.next = getattr(self._local, "next", None), None
        return ticket

    def push(self, ticket: Ticket) -> Ticket:
        self._stack.append(ticket)
        return ticket

    def pop_to(self, ticket: Ticket | None) -> None:
        """Leaves every run that was entered after `ticket`, however it ended."""
        while self._stack and self._stack[-1] is not ticket:
            self._stack.pop()


def ticket_of(run: Run) -> Ticket | None:
    return run.notes.get(NOTE)
