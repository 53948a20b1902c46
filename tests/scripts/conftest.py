"""Services around a tiny random model, with the built-in scripts in force."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from atelier.base.cancel import CancelToken
from atelier.params.request import GenerationRequest
from atelier.pipeline.hooks import PipelineHooks
from atelier.pipeline.run import generate
from atelier.pipeline.state import Result
from atelier.plugins.manager import Plugins
from atelier.scripts.hooks import ScriptHooks
from tests.pipeline.conftest import data, make_services, settings, tiny_checkpoint

__all__ = ["data", "settings", "tiny_checkpoint"]

SMALL = {"size.width": 64, "size.height": 64, "sampling.steps": 2, "sampling.sampler": "Euler", "seed.seed": 7,
         "prompt.positive": "a cat"}  # fmt: skip


@pytest.fixture
def plugins() -> Plugins:
    made = Plugins()
    made.add_hookspecs(PipelineHooks)
    made.register(ScriptHooks(), ScriptHooks.NAME, guarded=False)
    return made


@pytest.fixture
def services(data: Any, plugins: Plugins) -> Any:
    return make_services(data, hooks=plugins.relay)


@pytest.fixture
def ask(services: Any, settings: Any) -> Callable[..., Result]:
    """`ask("X/Y/Z plot", {"x_type": "Steps"}, **{"size.width": 64})` runs a script over a small request."""

    def run(
        name: str, values: dict[str, Any], events: list | None = None, token: CancelToken | None = None,
        job: str = "test", resume: str = "", **paths: Any,
    ) -> Result:  # fmt: skip
        extra = {"name": name, "values": values, "resume": resume}
        request = GenerationRequest().with_values(**{**SMALL, **paths}, extras={"script": extra})
        publish = events.append if events is not None else (lambda event: None)
        return generate(request, services, settings=settings.snapshot(), token=token, publish=publish, job=job)

    return run
