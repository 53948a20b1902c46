"""The host's side of the page: settings, controls, tabs, scripts and styles, routes of A1111 extensions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr
from gradio import context
from starlette.routing import Mount

from atelier.base.log import fields, logger
from atelier.plugins.hooks import hookimpl
from atelier.web.hooks import Assets, Tab
from modules._host.area import ScriptArea, build_controls
from modules._host.components import ComponentRelay
from modules._host.gradio3 import HIDDEN, BlocksView, install
from modules._host.gradio_scope import old_spellings
from modules._host.postprocessing import PostArea

log = logger(__name__)

TABS = ("txt2img", "img2img")
EXTRAS_TAB = "extras"


class PageHooks:
    """Registered as a plugin of its own, so that a server without a page works without Gradio's old spellings."""

    def __init__(self, host: Any) -> None:
        self.host = host
        host.components = ComponentRelay(host)
        self._declared = 0
        self._begun = False
        install()

    @hookimpl
    def page_starting(self, app: Any) -> None:
        self.begin()

    def begin(self) -> None:
        """Settings first, so that scripts find theirs; then the scripts; then the settings that those declared."""
        if self._begun:
            return
        self._begun = True
        host = self.host
        host.callbacks.fire("before_ui")
        self._declare()
        with _outside(), host.components.elsewhere():
            host.txt2img.initialize_scripts(False)
            host.img2img.initialize_scripts(True)
            host.post.initialize()
        self._declare()

    def _declare(self) -> None:
        """Calls each `on_ui_settings` once, whenever it was registered."""
        host = self.host
        with _outside(), host.components.elsewhere(), old_spellings():
            while self._declared < len(host.callbacks.of("ui_settings")):
                entry = host.callbacks.of("ui_settings")[self._declared]
                self._declared += 1
                host.guard.call(entry.extension, "on_ui_settings", entry.callback)
        host.options.publish_groups()

    @hookimpl
    def script_controls(self, app: Any, tab: str) -> ScriptArea | PostArea | None:
        self.begin()
        host = self.host
        if tab == EXTRAS_TAB:
            host.post.build()
            return PostArea(host.post, host.packer)
        if tab not in TABS:
            return None
        runner = host.runner(tab)
        host.building = runner
        try:
            build_controls(runner)
        finally:
            host.building = None
        if tab == TABS[-1]:
            host.prepared.set()
        return ScriptArea(runner, host.packer)

    def prepare(self) -> None:
        """Without a page the controls are still made once, to learn the arguments of scripts."""
        self.begin()
        if self.host.prepared.is_set():
            return
        with _outside(), gr.Blocks(analytics_enabled=False), self.host.components.silence():
            for tab in TABS:
                build_controls(self.host.runner(tab))
            self.host.post.build()
        self.host.prepared.set()

    @hookimpl
    def provide_tabs(self, app: Any) -> list[Tab]:
        self.begin()
        found: list[Tab] = []
        with _outside(), self.host.components.elsewhere(), old_spellings():
            for entry, answer in self.host.callbacks.results("ui_tabs"):
                for item in _tabs_of(answer):
                    found.append(Tab(str(item[1]), str(item[2]), _rendering(item[0])))
                    log.debug("tab made: %s", fields(extension=entry.extension, title=item[1]))
        return found

    @hookimpl
    def provide_assets(self, app: Any) -> Assets:
        scripts: list[str] = []
        modules: list[str] = []
        styles: list[str] = []
        folders: list[str] = []
        for extension in self.host.extensions:
            if not extension.enabled:
                continue
            scripts += [str(path) for path in extension.files("javascript", ".js")]
            modules += [str(path) for path in extension.files("javascript", ".mjs")]
            style = extension.path / "style.css"
            styles += [str(style)] if style.is_file() else []
            folders.append(str(extension.path))
        head = f"<style>.{HIDDEN} {{ display: none !important; }}</style>"
        return Assets(tuple(scripts), tuple(modules), tuple(styles), head, tuple(folders))

    @hookimpl
    def server_started(self, app: Any, server: Any, demo: Any) -> None:
        self.prepare()
        self.host.demo = demo
        view = None if demo is None else BlocksView(demo)
        with old_spellings():
            self.host.callbacks.fire("app_started", view, server)
        # A page mounted at the root would swallow every route that was added after it.
        routes = server.router.routes
        last = [route for route in routes if isinstance(route, Mount) and route.path in ("", "/")]
        routes[:] = [route for route in routes if route not in last] + last

    @hookimpl
    def amend_pasted(self, app: Any, infotext: str, values: dict[str, Any]) -> None:
        self.host.callbacks.fire("infotext_pasted", infotext, values)


def _tabs_of(answer: Any) -> list[tuple]:
    """What `on_ui_tabs` may return: nothing, a list of (blocks, title, id), or one such tuple."""
    if not answer:
        return []
    if isinstance(answer, tuple) and len(answer) == 3 and isinstance(answer[1], str):
        return [answer]
    return [item for item in answer if isinstance(item, (tuple, list)) and len(item) >= 3]


def _rendering(page: Any) -> Any:
    return lambda: page.render()


@contextmanager
def _outside() -> Iterator[None]:
    """As if no page were being built: what an extension makes now is its own until it is rendered."""
    block, root = context.Context.block, context.Context.root_block
    context.Context.block = context.Context.root_block = None
    try:
        yield
    finally:
        context.Context.block, context.Context.root_block = block, root
