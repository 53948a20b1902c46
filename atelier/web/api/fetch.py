"""Pictures by URL in requests: off by default, and never from addresses inside the network unless allowed."""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from atelier.base.errors import BadImage, NotAllowed
from atelier.base.version import VERSION

SECONDS = 30.0
LARGEST = 256 << 20


def fetch_picture(url: str, field: str, settings: Mapping[str, Any]) -> bytes:
    """Raises `NotAllowed`, or `BadImage` on `field`.

    The name is resolved once and the connection goes to the very address that was checked: a name server that answers
    differently the second time changes nothing. Redirects are not followed, since they could lead inside.
    """
    if not settings["api_enable_requests"]:
        raise NotAllowed(
            "Pictures by URL are switched off.",
            remedy="Send base64, or set api_enable_requests in Settings.",
            field=field,
        )
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise BadImage(field, f"this is not a URL ({error}).", remedy="Send the picture as base64.") from error
    address = _address(host, port, field, bool(settings["api_forbid_local_requests"]))
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {"Host": parts.netloc.rpartition("@")[2], "User-Agent": settings["api_useragent"] or f"atelier/{VERSION}"}
    connection = http.client.HTTPConnection(host, port, timeout=SECONDS)
    try:
        connection.sock = socket.create_connection((address, port), SECONDS)
        if parts.scheme == "https":
            connection.sock = ssl.create_default_context().wrap_socket(connection.sock, server_hostname=host)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        data = answer.read(LARGEST + 1)
    except (OSError, http.client.HTTPException) as error:
        raise BadImage(field, f"the URL cannot be read ({error}).", remedy="Send the picture as base64.") from error
    finally:
        connection.close()
    if answer.status != 200 or len(data) > LARGEST:
        reason = f"answers {answer.status}" if answer.status != 200 else "is too large"
        raise BadImage(field, f"the URL {reason}.", remedy="Send the picture as base64.")
    return data


def _address(host: str, port: int, field: str, only_global: bool) -> str:
    try:
        found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except OSError as error:
        raise BadImage(field, f"the name {host!r} is not known ({error}).", remedy="Check the URL.") from error
    if only_global and not all(ipaddress.ip_address(address.partition("%")[0]).is_global for address in found):
        raise NotAllowed(f"{host} is an address inside the network.", remedy="Send base64.", field=field)
    return found[0]
