"""An App over the fake engine, for tests of the server side."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from atelier.app import App, build_app
from atelier.base.paths import Paths
from atelier.plugins.manager import Plugins
from atelier.web.hooks import WebHooks


def make_app(folder: Path, plugins: Plugins | None = None, **arguments: Any) -> App:
    """Not started. `arguments["gate"]` is the event for which prompts beginning with "hold" wait."""
    if plugins is None:
        plugins = Plugins()
        plugins.add_hookspecs(WebHooks)
    arguments = {"gate": threading.Event(), "held": threading.Event(), "seen": [], "port": 7860, **arguments}
    return build_app(Paths(data=folder), arguments, plugins, engine="tests.fake_engine:build")
