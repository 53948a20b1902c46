"""Which code is speaking to Gradio: an extension, with the spellings of Gradio 3, or the program itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_OLD: ContextVar[bool] = ContextVar("gradio3", default=False)


@contextmanager
def old_spellings() -> Iterator[None]:
    """While it lasts, components are made the way Gradio 3 made them: hidden ones stay in the page, a dropdown
    without a value chooses nothing, unknown keywords are ignored."""
    token = _OLD.set(True)
    try:
        yield
    finally:
        _OLD.reset(token)


@contextmanager
def new_spellings() -> Iterator[None]:
    """For controls of the program itself that are made among those of extensions."""
    token = _OLD.set(False)
    try:
        yield
    finally:
        _OLD.reset(token)


def speaks_old() -> bool:
    return _OLD.get()
