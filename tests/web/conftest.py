"""A server over the fake engine, asked through httpx without a socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from atelier.app import App
from atelier.web.server import build_server
from tests.apps import make_app


class Served:
    """An app with its server and a client on this machine."""

    def __init__(
        self, folder: Path, ready: bool = True, page: Any = None, plugins: Any = None, **arguments: Any
    ) -> None:
        self.app: App = make_app(folder, plugins, **arguments)
        self.server = build_server(self.app, page=page)
        self.app.start()
        if ready:
            assert self.app.executor.wait_ready(20)
        self.client = TestClient(self.server, base_url="http://127.0.0.1:7860")

    def close(self) -> None:
        self.app.arguments["gate"].set()
        self.client.close()
        self.app.close()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    made: list[Served] = []

    def make(**rest: Any) -> Served:
        made.append(Served(tmp_path / f"data{len(made)}", **rest))
        return made[-1]

    yield make
    for served in made:
        served.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all tests of a file that leave nothing behind."""
    item = Served(tmp_path_factory.mktemp("data"))
    yield item
    item.close()
