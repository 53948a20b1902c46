"""A local executor over a real database and the fake engine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from atelier.base.events import EventBus
from atelier.base.paths import Paths
from atelier.imaging.blobs import BlobStore
from atelier.jobs.executor import EngineConfig
from atelier.jobs.local import LocalExecutor
from atelier.store.database import Database
from atelier.store.jobs import JobRecords


class Bench:
    """What a test touches: the executor and what stands around it."""

    def __init__(self, folder: Path, **arguments: Any) -> None:
        self.gate, self.held = threading.Event(), threading.Event()
        self.seen: list[Any] = []
        self.database = Database(folder / "atelier.sqlite")
        self.records = JobRecords(self.database)
        self.bus = EventBus(self.records.append_event)
        paths = Paths(data=folder)
        config = EngineConfig(
            paths,
            {"gate": self.gate, "held": self.held, "seen": self.seen, **arguments},
            None,
            BlobStore(paths.blobs),
            self.bus.publish,
            self.bus.watched,
            lambda run, picture: None,
        )
        self.executor = LocalExecutor("tests.fake_engine:build", config, self.bus, self.records, lambda: {})

    def start(self) -> Bench:
        self.executor.start()
        assert self.executor.wait_ready(20)
        return self

    def end(self) -> None:
        self.gate.set()
        self.executor.stop(20)
        self.database.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(start: bool = True, **arguments: Any) -> Bench:
        made.append(Bench(tmp_path, **arguments))
        return made[-1].start() if start else made[-1]

    yield make
    for item in made:
        item.end()
