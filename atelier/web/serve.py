"""Listening: a free port, TLS, and the loop that serves until it is told to stop."""

from __future__ import annotations

import errno
import socket
import threading
import webbrowser
from collections.abc import Mapping
from typing import Any

import fastapi
import uvicorn

from atelier.base.errors import SetupFailed
from atelier.base.log import fields, logger

log = logger(__name__)

DEFAULT_PORT = 7860
DEFAULT_API_PORT = 7861
TRIES = 50
LOOPBACK = "127.0.0.1"


def address(arguments: Mapping[str, Any]) -> tuple[str, int]:
    """The host and the wished port that the command line asks for."""
    host = arguments.get("server_name") or ("0.0.0.0" if arguments.get("listen") else LOOPBACK)
    default = DEFAULT_API_PORT if arguments.get("nowebui") else DEFAULT_PORT
    return host, int(arguments.get("port") or default)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket on the port, or on the next free one, which is said aloud. Raises `SetupFailed`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for candidate in range(port, min(port + TRIES, 65536)):
        listening = socket.socket(family, socket.SOCK_STREAM)
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
            # On Windows a second program could otherwise share the port.
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, candidate))
            listening.listen(128)
        except OSError as error:
            listening.close()
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise SetupFailed(
                    f"Cannot listen on {host}: {error.strerror}.", remedy="Check --server-name."
                ) from error
            continue
        if candidate != port:
            log.warning("port is taken, the next free one is used: %s", fields(wanted=port, port=candidate))
        return listening
    raise SetupFailed(f"No free port from {port} on.", remedy="Give another one with --port.")


def url_of(listening: socket.socket, arguments: Mapping[str, Any]) -> str:
    host, port = listening.getsockname()[:2]
    scheme = "https" if arguments.get("tls_certfile") else "http"
    shown = LOOPBACK if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}:{port}{_subpath(arguments)}"


def _subpath(arguments: Mapping[str, Any]) -> str:
    return "/" + str(arguments["subpath"]).strip("/") if arguments.get("subpath") else ""


class Serving:
    """A server on a socket. `run` returns when `stop` was called or the process was told to end."""

    def __init__(self, server: fastapi.FastAPI, listening: socket.socket, arguments: Mapping[str, Any]) -> None:
        self.url = url_of(listening, arguments)
        self.port = int(listening.getsockname()[1])
        self._socket = listening
        self._server = uvicorn.Server(
            uvicorn.Config(
                server,
                log_level="warning",
                timeout_keep_alive=int(arguments.get("timeout_keep_alive") or 30),
                # Pages keep event streams open; they must not hold up the end of the program.
                timeout_graceful_shutdown=3,
                ssl_keyfile=arguments.get("tls_keyfile"),
                ssl_certfile=arguments.get("tls_certfile"),
                root_path=_subpath(arguments),
            )
        )

    def run(self) -> None:
        self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        self._server.should_exit = True


def open_browser(url: str) -> None:
    """Away from the main thread: some systems start the browser slowly."""
    threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
