"""Typed code: whether this server runs Python that comes with a request, and the refusal when it does not.

Such code may do whatever the program's user may. There are no ranks among the people who use a server, so the one rule
that holds is the place: it runs only where nobody but this machine can ask for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from atelier.base.errors import NotAllowed
from atelier.web.auth import is_exposed

#: the script that carries it, as A1111 calls it
TITLE = "Custom code"

#: what lets a page of another site, or a proxy before this server, send requests
_BRIDGES = ("cors_allow_origins", "cors_allow_origins_regex", "allowed_hosts")


def code_refusal(arguments: Mapping[str, Any]) -> NotAllowed | None:
    """Why typed code does not run here, with the remedy; None where it does."""
    if not arguments.get("allow_code"):
        return _refusal("this server runs no code that is typed in.", "Start with --allow-code.")
    if is_exposed(arguments):
        return _refusal(
            "other machines reach this server, and typed code could do all that you can.",
            "Start without --listen, --server-name, --share and --ngrok.",
        )
    bridge = next((name for name in _BRIDGES if arguments.get(name)), None)
    if bridge is not None:
        option = "--" + bridge.replace("_", "-")
        return _refusal(f"{option} lets others than this machine ask.", f"Start without {option}.")
    return None


def _refusal(why: str, remedy: str) -> NotAllowed:
    return NotAllowed(f"{TITLE}: {why}", remedy=remedy, field="script_name")
