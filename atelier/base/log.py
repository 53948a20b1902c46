"""The program's loggers and the one form its messages have: what, then key=value."""

from __future__ import annotations

import logging
import sys
from typing import Any


def logger(name: str) -> logging.Logger:
    return logging.getLogger(name)


def setup(level: str = "INFO", stream: Any = None) -> None:
    """Called once by the program that starts; libraries never call it."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname).1s %(name)s: %(message)s", "%H:%M:%S"))
    root = logging.getLogger("atelier")
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    root.propagate = False


def fields(**values: Any) -> str:
    """`key=value` pairs for the end of a message; texts with spaces are quoted."""
    parts = (f"{k}={v!r}" if isinstance(v, str) and (" " in v or not v) else f"{k}={v}" for k, v in values.items())
    return " ".join(parts)
