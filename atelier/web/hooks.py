"""The hooks of the page and the server: tabs, routes, controls of scripts, assets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import pluggy

if TYPE_CHECKING:
    import fastapi
    import gradio

    from atelier.app import App

hookspec = pluggy.HookspecMarker("atelier")


@dataclass(frozen=True)
class Tab:
    """A main tab. `build` makes its components inside the Blocks that is current when it is called."""

    label: str
    id: str
    build: Callable[[], Any]


class ScriptArea(Protocol):
    """The controls that extensions placed in one tab. `inputs` are appended to the inputs of Generate."""

    inputs: list[Any]
    #: (component, infotext key or function(dict) -> value) of every script that can be pasted into
    paste_fields: list[tuple[Any, Any]]

    def pack(self, values: list[Any]) -> Mapping[str, Any]:
        """The values of `inputs` as plain JSON, to be put into the request's `extras` under the returned names."""


@dataclass(frozen=True)
class Assets:
    """Files that the page loads: absolute paths on this machine, in order; texts go into the head as they are."""

    scripts: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    styles: tuple[str, ...] = ()
    head: str = ""
    #: folders whose files may be served at /file=...
    folders: tuple[str, ...] = field(default=())


class WebHooks:
    @hookspec
    def page_starting(self, app: App) -> None:
        """Before the first component of the page is made."""

    @hookspec
    def script_controls(self, app: App, tab: str) -> ScriptArea | None:
        """Called inside the txt2img, img2img or extras tab, where the controls of scripts belong."""

    @hookspec
    def provide_tabs(self, app: App) -> list[Tab]:
        """More main tabs, placed before Settings."""

    @hookspec
    def provide_assets(self, app: App) -> Assets | None:
        """JavaScript and style sheets for the page."""

    @hookspec
    def provide_routes(self, app: App, server: fastapi.FastAPI) -> None:
        """More routes; they are placed before the page's mount, which would swallow them."""

    @hookspec
    def server_started(self, app: App, server: fastapi.FastAPI, demo: gradio.Blocks | None) -> None:
        """The server and the page are complete; `demo` is None when only the API is served."""

    @hookspec
    def amend_pasted(self, app: App, infotext: str, values: dict[str, Any]) -> None:
        """Parameters were read from a picture or text; `values` may be changed before they fill the form."""
