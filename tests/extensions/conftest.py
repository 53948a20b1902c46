"""A host with the sample extensions, over services with the tiny model."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from atelier.params.request import GenerationRequest
from atelier.pipeline.run import generate
from modules._host.attach import detach
from tests.doors.conftest import host_in
from tests.pipeline.conftest import make_services
from tests.tiny import write_tiny_checkpoint

SAMPLES = Path(__file__).parent / "samples"
SMALL = {"size.width": 64, "size.height": 64, "sampling.steps": 3, "seed.seed": 7, "prompt.positive": "a cat",
         "sampling.sampler": "Euler"}  # fmt: skip


class Bench:
    """A program without server and worker: `run` makes pictures on this thread."""

    def __init__(self, data: Path, **arguments: Any) -> None:
        self.host = host_in(data, **arguments)
        self.app = self.host.app
        self.hooks = self.app.plugins.relay
        self.services = make_services(data, hooks=self.hooks)
        self.hooks.started(side="engine", owner=self.services)
        self.areas: dict[str, Any] = {}
        self.events: list[Any] = []

    def build(self) -> gr.Blocks:
        """A page with the two tabs, as far as scripts see it."""
        self.hooks.page_starting(app=self.app)
        with gr.Blocks() as page, gr.Tabs(elem_id="tabs"):
            for tab in ("txt2img", "img2img"):
                with gr.Tab(tab, id=tab, elem_id=f"tab_{tab}"):
                    gr.Textbox(label="Prompt", elem_id=f"{tab}_prompt")
                    (self.areas[tab],) = (a for a in self.hooks.script_controls(app=self.app, tab=tab) if a)
            for tab in self.app.plugins.provided("provide_tabs", app=self.app):
                with gr.Tab(tab.label, id=tab.id, elem_id=f"tab_{tab.id}"):
                    tab.build()
        return page

    def script(self, name: str) -> Any:
        """The module of a sample's file."""
        return next(m for path, m in self.host.loader.loaded.items() if Path(path).name == name)

    def request(self, a1111: dict[str, Any] | None = None, **paths: Any) -> GenerationRequest:
        extras = {} if a1111 is None else {"a1111": a1111}
        return GenerationRequest().with_values(**{**SMALL, **paths}, extras=extras)

    def run(self, a1111: dict[str, Any] | None = None, **paths: Any) -> Any:
        self.events.clear()
        return generate(
            self.request(a1111, **paths), self.services, settings=self.app.settings.snapshot(),
            publish=self.events.append, job="test",
        )  # fmt: skip

    def close(self) -> None:
        self.app.close()
        detach()


def bench_with(data: Path, *samples: Path, **arguments: Any) -> Bench:
    folder = data / "models" / "Stable-diffusion"
    write_tiny_checkpoint(folder)
    for sample in samples:
        shutil.copytree(sample, data / "extensions" / sample.name)
    bench = Bench(data, **arguments)
    bench.build()
    return bench


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    made = bench_with(tmp_path_factory.mktemp("data"), *sorted(SAMPLES.iterdir()))
    yield made
    made.close()


@pytest.fixture
def always() -> Callable[..., dict[str, Any]]:
    """`always("Sample Always", True, "word")` is what a client of the HTTP API sends."""
    return lambda title, *args: {"alwayson_scripts": {title: {"args": list(args)}}}
