"""What every request passes before it reaches a route: time, size, failures that nobody expected."""

from __future__ import annotations

import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from atelier.base.errors import TooLarge
from atelier.base.log import fields, logger
from atelier.web.answers import failure, path_of

log = logger(__name__)

#: a picture of 200 megapixels as base64 of a PNG, with room
LARGEST_BODY = 512 << 20


class Clock:
    """Adds `X-Process-Time` in seconds; with `log_api` writes one line for each call of /sdapi."""

    def __init__(self, app: ASGIApp, log_api: bool = False) -> None:
        self.app = app
        self.log_api = log_api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()

        async def timed(message: Message) -> None:
            if message["type"] == "http.response.start":
                seconds = f"{time.perf_counter() - started:.4f}"
                message["headers"] = [*message.get("headers", ()), (b"x-process-time", seconds.encode())]
                if self.log_api and path_of(scope).startswith("/sdapi"):
                    client = (scope.get("client") or ("",))[0]
                    log.info(
                        "API call: %s",
                        fields(
                            method=scope["method"],
                            path=scope["path"],
                            status=message["status"],
                            client=client,
                            seconds=seconds,
                        ),
                    )
            await send(message)

        await self.app(scope, receive, timed)


class BodyLimit:
    """Refuses a body beyond `limit` bytes with 413, also one whose length was not told before."""

    def __init__(self, app: ASGIApp, limit: int = LARGEST_BODY) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        told = dict(scope["headers"]).get(b"content-length", b"0")
        if told.isdigit() and int(told) > self.limit:
            await failure(self._problem())(scope, receive, send)
            return
        await self.app(scope, self._counted(receive), send)

    def _counted(self, receive: Receive) -> Receive:
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > self.limit:
                    raise self._problem()
            return message

        return counted

    def _problem(self) -> TooLarge:
        size = f"{self.limit >> 20} MB"
        return TooLarge(f"The request is larger than {size}.", remedy="Send smaller pictures.", limit=self.limit)


def started_flag(send: Send) -> tuple[Send, Callable[[], bool]]:
    """`send`, and a function that tells whether an answer was begun: after that no other can be given."""
    begun = False

    async def watched(message: Message) -> None:
        nonlocal begun
        begun = begun or message["type"] == "http.response.start"
        await send(message)

    return watched, lambda: begun
