"""The connection between the doors and the running program: the one mutable global of the host."""

from __future__ import annotations

from typing import Any

from atelier.base.errors import NotReady


class _Attached:
    """Holds the `Host` while one is attached."""

    host: Any = None


_attached = _Attached()


def attach(host: Any) -> Any:
    """Called once, by the program that starts, before any extension is imported."""
    _attached.host = host
    return host


def detach() -> None:
    _attached.host = None


def current() -> Any:
    """The attached host, or None."""
    return _attached.host


def host() -> Any:
    """The attached host. Raises `NotReady` when an extension is used without a program around it."""
    if _attached.host is None:
        raise NotReady(
            "The names in `modules` work only inside a running program.",
            remedy="Start it with launch.py, or call modules._host.host.attach_host first.",
        )
    return _attached.host
