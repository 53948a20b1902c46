"""A host over an app with a fake engine, for tests of the doors."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from atelier.launch.arguments import build_parser, parse
from atelier.pipeline.hooks import PipelineHooks
from atelier.plugins.discover import list_extensions, preload
from atelier.plugins.manager import Plugins
from atelier.web.hooks import WebHooks
from modules._host.attach import detach
from modules._host.host import Host, attach_host
from tests.apps import make_app


def arguments_for(folder: Path, extensions=()) -> argparse.Namespace:
    parser = build_parser({})
    preload(extensions, parser)
    return parse(["--data-dir", str(folder)], parser, environ={})


def host_in(folder: Path, **arguments: Any) -> Host:
    """A host that has imported every extension in `<folder>/extensions`. The caller closes `host.app`."""
    plugins = Plugins()
    plugins.add_hookspecs(PipelineHooks, WebHooks)
    app = make_app(folder, plugins)
    app.extensions = list_extensions(app.paths)
    app.arguments = {**vars(arguments_for(folder, app.extensions)), **arguments}
    return attach_host(app)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory):
    made = host_in(tmp_path_factory.mktemp("data"))
    yield made
    made.app.close()
    detach()
