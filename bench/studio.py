"""Studio: Atelier's engine without its server, on a data folder of its own, ready to be timed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from atelier.base.cancel import CancelToken
from atelier.base.events import Event, StepDone
from atelier.base.paths import Paths
from atelier.checkpoints.load import LoadedModel
from atelier.engine import Engine
from atelier.imaging.blobs import BlobStore
from atelier.jobs.executor import EngineConfig
from atelier.params.groups import GROUPS
from atelier.params.request import GenerationRequest
from atelier.params.settings import Settings, SettingsSnapshot
from atelier.pipeline.hooks import PipelineHooks
from atelier.pipeline.run import generate
from atelier.pipeline.state import Result, Run
from atelier.plugins.manager import Plugins
from bench.machine import settle
from bench.timing import Figures, StepClock


@dataclass(frozen=True)
class Scene:
    """What every contender paints. A picture has sides of `side` pixels."""

    side: int
    steps: int
    cfg: float = 7.0
    seed: int = 1234
    prompt: str = "a panda on a blue background"
    negative: str = "blurry"

    @property
    def size(self) -> str:
        return f"{self.side} x {self.side}, {self.steps} steps"

    def request(self) -> GenerationRequest:
        return GenerationRequest().with_values(
            **{
                "prompt.positive": self.prompt, "prompt.negative": self.negative, "size.width": self.side,
                "size.height": self.side, "sampling.sampler": "Euler", "sampling.steps": self.steps,
                "sampling.cfg_scale": self.cfg, "seed.seed": self.seed,
            }
        )  # fmt: skip


class Studio:
    """One engine with one checkpoint. Hooks are fired through the program's own relay; nobody listens to them.

    `precision` is "full" or "half". Pictures are encoded and kept as blobs, but not saved to the outputs.
    `watched` is asked before each preview; usually nobody watches.
    """

    def __init__(
        self, data: Path, checkpoint: Path, precision: str = "full",
        watched: Callable[[str], bool] = lambda job: False,
    ) -> None:  # fmt: skip
        plugins = Plugins()
        plugins.add_hookspecs(PipelineHooks)
        paths = Paths(data=data, checkpoint_dirs=(checkpoint.parent,))
        self.engine = Engine(
            EngineConfig(
                paths=paths, arguments={"precision": precision}, plugins=plugins, blobs=BlobStore(paths.blobs),
                publish=lambda event: None, watched=watched, picture_saved=lambda run, picture: None,
            )
        )  # fmt: skip
        self._settings = Settings(paths.settings, GROUPS).snapshot()
        self._checkpoint = checkpoint.name
        self.settle = settle(self.engine.choice.device)

    @property
    def model(self) -> LoadedModel:
        return self.engine.services.library.open(self._checkpoint)

    def settings(self, **values: Any) -> SettingsSnapshot:
        return self._settings.overlaid({"sd_model_checkpoint": self._checkpoint, "samples_save": False, **values})

    def paint(self, scene: Scene, remember_texts: bool = True) -> tuple[Figures, np.ndarray]:
        """One picture and what it took. Without `remember_texts` the prompt is encoded anew, as in a first run."""
        if not remember_texts:
            self.engine.services.encodings.clear()
        clock = StepClock(self.settle)

        def hear(event: Event) -> None:
            if isinstance(event, StepDone):
                clock.mark()

        with clock.watching(self.model.denoiser):
            result = self.generate(scene, hear)
        return clock.figures(), np.asarray(result.images[0])

    def generate(self, scene: Scene, hear: Callable[[Event], None], **settings: Any) -> Result:
        services = self.engine.services
        services.ladder.begin_job()
        return generate(scene.request(), services, settings=self.settings(**settings), publish=hear, job="bench")

    def run(self, scene: Scene, **settings: Any) -> Run:
        """A run with its model, of which single steps of the recipe can be asked."""
        token, services = CancelToken(), self.engine.services
        made = Run(scene.request(), self.settings(**settings), services, token, lambda event: None, "bench")
        made.model = self.model
        return made

    def close(self) -> None:
        self.engine.close()
