"""Who may use the server: accounts, the names it answers to, and the rule against open doors.

The rules, in order:

1. On this machine alone (127.0.0.1) page and API are open, as with A1111, and the API needs no `--api`.
2. With accounts (`--gradio-auth`, `--gradio-auth-path`, `--api-auth`) every path asks for HTTP Basic, page and API
   alike. Accounts of `--api-auth` open the page only when there are no others.
3. Beyond this machine (`--listen`, `--server-name`, `--share`, `--ngrok`) without accounts the program does not start,
   unless `--listen-without-password` says that this is meant. Then `/sdapi` answers only with `--api`, as in A1111.
4. Without accounts a request must name this machine in its Host header: a page of another site whose name was bent to
   127.0.0.1 (DNS rebinding) could otherwise use the server. Numbers, localhost, this machine's own name and
   `--allowed-hosts` are accepted.
5. A page of another site may not send anything (Origin, Sec-Fetch-Site), unless `--cors-allow-origins` names it.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from atelier.base.errors import NotAllowed, NotFound, NotSignedIn, SetupFailed
from atelier.web.answers import failure, path_of

API_PREFIXES = ("/sdapi", "/atelier", "/internal", "/controlnet", "/adetailer", "/agent-scheduler", "/openapi.json")
_SAFE = ("GET", "HEAD", "OPTIONS")
_OPEN_WORDS = ("share", "ngrok")


@dataclass(frozen=True)
class Accounts:
    """Names and passwords. Those of `api` open the page only when there are no others."""

    page: Mapping[str, str] = field(default_factory=dict)
    api: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.page or self.api)

    def user(self, header: str, path: str) -> str | None:
        """The name behind an `Authorization: Basic` header, or None."""
        scheme, _, code = header.partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            name, colon, password = base64.b64decode(code.strip(), validate=True).decode("utf-8").partition(":")
        except (binascii.Error, ValueError):
            return None
        known = dict(self.page)
        if not self.page or path.startswith(API_PREFIXES):
            known |= self.api
        # Compared although the name is unknown, so that the time tells nothing.
        expected = known.get(name, secrets.token_hex(8))
        right = secrets.compare_digest(password.encode("utf-8"), expected.encode("utf-8"))
        return name if colon and right and name in known else None


def accounts_from(arguments: Mapping[str, Any]) -> Accounts:
    """Raises `SetupFailed` for an entry without a password, or a file that cannot be read."""
    page = _accounts(str(arguments.get("gradio_auth") or ""), "--gradio-auth")
    path = arguments.get("gradio_auth_path")
    if path:
        try:
            text = Path(path).read_text("utf-8-sig")
        except OSError as error:
            raise SetupFailed(
                f"The file of --gradio-auth-path cannot be read: {error}.", remedy="Check its name."
            ) from error
        page |= _accounts(text.replace("\n", ","), "--gradio-auth-path")
    return Accounts(page, _accounts(str(arguments.get("api_auth") or ""), "--api-auth"))


def _accounts(text: str, option: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in filter(None, (part.strip() for part in text.strip().strip("\"'").split(","))):
        name, colon, password = entry.partition(":")
        if not colon or not name or not password:
            raise SetupFailed(
                f"{option} has an entry without a password.", remedy="Write name:password,name2:password2."
            )
        found[name] = password
    return found


def is_exposed(arguments: Mapping[str, Any]) -> bool:
    """True when machines other than this one can reach the server."""
    if any(arguments.get(word) for word in _OPEN_WORDS) or (
        arguments.get("listen") and not arguments.get("server_name")
    ):
        return True
    name = str(arguments.get("server_name") or "127.0.0.1")
    return not is_loopback(name)


def is_loopback(host: str) -> bool:
    if host.lower() == "localhost" or host.lower().endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_exposure(arguments: Mapping[str, Any]) -> None:
    """Rule 3. Raises `SetupFailed`; to be asked before a port is opened."""
    if is_exposed(arguments) and not accounts_from(arguments) and not arguments.get("listen_without_password"):
        raise SetupFailed(
            "Everybody who reaches this machine could use the program: there is no name and password.",
            remedy="Add --gradio-auth name:password, or --listen-without-password if that is meant.",
        )


def api_is_open(arguments: Mapping[str, Any]) -> bool:
    return bool(arguments.get("api") or arguments.get("nowebui") or accounts_from(arguments)) or not is_exposed(
        arguments
    )


class Gate:
    """ASGI middleware: the five rules at each request. The user's name is left in `request.state.user`."""

    def __init__(self, app: ASGIApp, arguments: Mapping[str, Any]) -> None:
        self.app = app
        self.accounts = accounts_from(arguments)
        self.api_open = api_is_open(arguments)
        self.hosts = frozenset(host.lower() for host in _own_names(arguments))
        self.origins = frozenset(words(arguments.get("cors_allow_origins")))
        pattern = arguments.get("cors_allow_origins_regex")
        self.origin_pattern = re.compile(pattern) if pattern else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        request = HTTPConnection(scope)
        problem = self._problem(request, scope)
        if problem is None:
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            headers = {"WWW-Authenticate": 'Basic realm="Atelier", charset="UTF-8"'} if problem.status == 401 else None
            await failure(problem, headers)(scope, receive, send)

    def _problem(self, request: HTTPConnection, scope: Scope) -> NotAllowed | NotSignedIn | NotFound | None:
        state = scope.setdefault("state", {})
        state["user"] = ""
        if not self.accounts and not self._names_us(request.headers.get("host", "")):
            return NotAllowed(
                "This server does not go by that name.",
                remedy="Open it by its number, or start it with --allowed-hosts.",
            )
        if scope.get("method", "GET") not in _SAFE and not self._same_site(request):
            return NotAllowed(
                "A page of another site may not do this.", remedy="Start with --cors-allow-origins to allow it."
            )
        path = path_of(scope)
        if self.accounts:
            user = self.accounts.user(request.headers.get("authorization", ""), path)
            if user is None:
                return NotSignedIn(
                    "Incorrect username or password", remedy="Give the name and password of this server."
                )
            state["user"] = user
        if not self.api_open and path.startswith("/sdapi"):
            return NotFound("The HTTP API is off.", remedy="Start with --api.")
        return None

    def _names_us(self, header: str) -> bool:
        host = _host(header)
        if not host or is_loopback(host) or host.lower() in self.hosts:
            return True
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True

    def _same_site(self, request: HTTPConnection) -> bool:
        if request.headers.get("sec-fetch-site") in ("same-origin", "none"):
            return True
        origin = request.headers.get("origin")
        if origin is None:
            # No browser: browsers tell the origin of everything that changes something.
            return True
        if origin in self.origins or "*" in self.origins:
            return True
        if self.origin_pattern is not None and self.origin_pattern.fullmatch(origin):
            return True
        there = urlsplit(origin)
        return bool(there.netloc) and (
            there.netloc.lower() == request.headers.get("host", "").lower() or (there.hostname or "") in self.hosts
        )


def _own_names(arguments: Mapping[str, Any]) -> set[str]:
    own = socket.gethostname()
    names = {own, f"{own}.local", str(arguments.get("server_name") or ""), *words(arguments.get("allowed_hosts"))}
    return {name for name in names if name}


def words(text: Any) -> list[str]:
    """The parts of a list separated by commas."""
    return [word.strip() for word in str(text or "").split(",") if word.strip()]


def _host(header: str) -> str:
    """The name in a Host header, without its port; `[::1]:7860` gives `::1`."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.rpartition(":")[0] if header.count(":") == 1 else header


def user_of(request: HTTPConnection) -> str:
    """Who signed in, or empty."""
    return str(getattr(request.state, "user", "") or "")


def client_of(request: HTTPConnection) -> str:
    """Who asks, for limits and lists: the user's name, else the address."""
    user = user_of(request)
    return user or (request.client.host if request.client else "")
