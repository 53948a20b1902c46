"""The server: one FastAPI application with the API, routes of extensions, and the page mounted behind them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from atelier.app import App
from atelier.base.errors import AtelierError, InternalError
from atelier.base.log import fields, logger
from atelier.base.version import PROGRAM_VERSION
from atelier.web import files
from atelier.web.answers import Json, failure, http_failure, path_of, validation_failure
from atelier.web.api import (
    extras,
    generate,
    jobs,
    merging,
    models,
    parcels,
    pictures,
    progress,
    replay,
    scripts,
    settings,
    system,
)
from atelier.web.auth import API_PREFIXES, Gate, accounts_from, check_exposure, words
from atelier.web.middleware import BodyLimit, Clock, started_flag

log = logger(__name__)

ROUTERS = (
    generate.router, extras.router, progress.router, models.router, settings.router, system.router, jobs.router,
    parcels.router, merging.router, replay.router, pictures.router, scripts.router, files.router,
)  # fmt: skip


def build_server(app: App, *, page: Any = None, mount: Mapping[str, Any] | None = None) -> FastAPI:
    """Everything that answers HTTP. `page` is a `gradio.Blocks`; `mount` holds more keywords for mounting it.

    Raises `SetupFailed` when the server would be open to the network without a password (see `web/auth.py`).
    """
    check_exposure(app.arguments)
    server = FastAPI(
        title="Atelier", version=PROGRAM_VERSION, default_response_class=Json, redoc_url=None,
        description="Pictures with Stable Diffusion: A1111's API under /sdapi/v1, jobs under /atelier/v1.",
    )  # fmt: skip
    server.state.app = app
    _add_failures(server)
    _add_middleware(server, app.arguments)
    for router in ROUTERS:
        server.include_router(router)
    if app.arguments.get("api_server_stop"):
        server.include_router(system.stop_router)
    _describe(server, app)
    app.plugins.relay.provide_routes(app=app, server=server)
    server.state.assets = tuple(a for a in app.plugins.relay.provide_assets(app=app) if a is not None)
    if page is not None:
        _mount_page(server, app, page, dict(mount or {}))
    app.plugins.relay.server_started(app=app, server=server, demo=page)
    return server


def _add_failures(server: FastAPI) -> None:
    @server.exception_handler(AtelierError)
    async def typed(request: Request, error: AtelierError) -> Response:
        return failure(error)

    @server.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return validation_failure(error)

    @server.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        return http_failure(error)


def _add_middleware(server: FastAPI, arguments: Mapping[str, Any]) -> None:
    """Added from the inside out: the last one sees a request first."""
    server.add_middleware(Gate, arguments=arguments)
    origins, pattern = words(arguments.get("cors_allow_origins")), arguments.get("cors_allow_origins_regex")
    if origins or pattern:
        server.add_middleware(
            CORSMiddleware, allow_origins=origins, allow_origin_regex=pattern, allow_methods=["*"], allow_headers=["*"],
            allow_credentials=True,
        )  # fmt: skip
    server.add_middleware(BodyLimit)
    server.add_middleware(Unexpected)
    server.add_middleware(Clock, log_api=bool(arguments.get("api_log")))


class Unexpected:
    """A fault of the program costs one answer: it is logged, and the caller gets 500 in the usual form."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        watched, begun = started_flag(send)
        try:
            await self.app(scope, receive, watched)
        except ClientDisconnect:
            log.debug("client went away: %s", fields(path=scope["path"]))
        except AtelierError as error:
            if begun():
                raise
            await failure(error)(scope, receive, send)
        except Exception as error:
            log.exception("request failed: %s", fields(method=scope["method"], path=scope["path"]))
            if begun():
                raise
            wrapped = InternalError(f"{type(error).__name__}: {error}", remedy="The log of the server has the details.")
            await failure(wrapped)(scope, receive, send)


def _describe(server: FastAPI, app: App) -> None:
    """OpenAPI with the settings in it, which are complete only when every extension has declared its own."""

    def openapi() -> dict[str, Any]:
        if server.openapi_schema is None:
            schema = get_openapi(
                title=server.title, version=server.version, description=server.description, routes=server.routes
            )
            schema.setdefault("components", {}).setdefault("schemas", {})["Options"] = settings.options_schema(
                app.settings
            )
            server.openapi_schema = schema
        return server.openapi_schema

    server.openapi = openapi  # type: ignore[method-assign]


def _mount_page(server: FastAPI, app: App, page: Any, mount: dict[str, Any]) -> None:
    # Here and not above: a server without a page needs no Gradio, which takes seconds to import.
    import gradio

    if accounts_from(app.arguments):
        # The gate has asked for the password already; the page is only told the name.
        mount.setdefault("auth_dependency", lambda request: request.state.user or None)
    mount.setdefault("ssr_mode", False)
    mount.setdefault("root_path", _subpath(app.arguments))
    gradio.mount_gradio_app(server, page, path="/", **mount)
    # A mount at / swallows every route that is added after it, and extensions add routes late. As the router's
    # last resort it is always behind them, and unknown paths of the API still get the API's 404.
    mounted = server.router.routes.pop()
    fallback = server.router.default

    async def page_or_nothing(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and path_of(scope).startswith(API_PREFIXES):
            await fallback(scope, receive, send)
            return
        matched, child = mounted.matches(scope)
        scope.update(child)
        await mounted.handle(scope, receive, send)

    server.router.default = page_or_nothing


def _subpath(arguments: Mapping[str, Any]) -> str | None:
    path = str(arguments.get("subpath") or "").strip("/")
    return f"/{path}" if path else None
