"""Relay: the door through which the pipeline fires hooks, and the one that nobody listens behind."""

from __future__ import annotations

from typing import Any, Protocol


class Relay(Protocol):
    """What the pipeline is handed to fire hooks with: pluggy's relay, or `NoHooks`."""

    def __getattr__(self, name: str) -> Any: ...


class NoHooks:
    """A relay without listeners, for tests and for use as a library."""

    def __getattr__(self, name: str) -> Any:
        return lambda **carriers: None if name == "take_over" else []
