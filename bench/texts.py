"""Texts: what it costs to ask for the conditioning of an equal prompt, and of one that is changed by half."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from torch import nn

from atelier.pipeline.encode import encode_pass
from atelier.pipeline.sample import plan_pass
from atelier.pipeline.state import Batch, Pass
from bench.report import Figure, figure
from bench.studio import Scene, Studio
from bench.timing import Effort, Figures, StepClock, alternate, ratios, spread

#: of the time that encoding took
MOST_PERCENT = 1.0
#: the negative prompt alone
MOST_TEXTS = 1


class Texts:
    """Asks for the conditioning of a scene as the recipe does, and counts the texts that the encoder reads."""

    def __init__(self, studio: Studio, scene: Scene) -> None:
        self.studio, self.scene = studio, scene
        self.run = studio.run(scene)
        self.read = 0

    @contextmanager
    def watching(self) -> Iterator[None]:
        def count(_module: nn.Module, _inputs: object, output: object) -> None:
            self.read += output.last_hidden_state.shape[0]

        handle = self.run.model.text_encoder.register_forward_hook(count)
        try:
            yield
        finally:
            handle.remove()

    def round(self) -> Figures:
        """All three with nothing remembered from before: seconds of the processor too, texts that were read."""
        self.studio.engine.services.encodings.clear()
        scene = self.scene
        changed = replace(scene, negative=f"{scene.negative}, text")
        found: dict[str, float] = {}
        for name, asked in (("first", scene), ("again", scene), ("changed", changed)):
            seconds, cpu, texts = self._timed(self._asking(asked))
            found |= {name: seconds, f"{name}_cpu": cpu, f"{name}_texts": texts}
        return {**found, "step": found["again"]}

    def _asking(self, scene: Scene) -> Callable[[], object]:
        batch = Batch(self.run, 0, (), [scene.prompt], [scene.negative], [scene.seed], [-1], [], [])
        plan = plan_pass(batch, "Euler", "Automatic", scene.steps, None, False)
        asked = Pass(batch, "first", scene.side, scene.side, batch.prompts, batch.negatives, self.run.model, plan, None,
                     scene.cfg, scene.steps)  # fmt: skip
        return lambda: encode_pass(asked, asked.prompts, asked.negatives)

    def _timed(self, work: Callable[[], object]) -> tuple[float, float, int]:
        before = self.read
        clock = StepClock(self.studio.settle)
        clock.mark()
        work()
        clock.mark()
        figures = clock.figures()
        return figures["step"], figures["step_cpu"], self.read - before


def measure_texts(studio: Studio, scene: Scene, effort: Effort, name: str, full: bool) -> Iterator[Figure]:
    """Only a `full` model's text encoder takes a time that is worth a target."""
    texts = Texts(studio, scene)
    with texts.watching():
        rounds = alternate({"texts": texts.round}, effort)

    def values(figure: str) -> list[float]:
        return rounds.values("texts", figure)

    yield figure(f"{name}.first", f"{name}: conditioning of prompt and negative prompt", "ms", spread(values("first")),
                 scale=1000)  # fmt: skip
    yield figure(f"{name}.again", f"{name}: of equal prompts again, over the first time", "%",
                 spread(ratios(values("again"), values("first"))), scale=100,
                 limit=MOST_PERCENT if full else None)  # fmt: skip
    yield figure(f"{name}.again.cpu", f"{name}: the same in processor time", "%",
                 spread(ratios(values("again_cpu"), values("first_cpu"))), scale=100)  # fmt: skip
    yield figure(f"{name}.again.texts", f"{name}: texts that were read for it", "texts",
                 spread(values("again_texts")), limit=0)  # fmt: skip
    yield figure(f"{name}.changed", f"{name}: with another negative prompt, over the first time", "%",
                 spread(ratios(values("changed"), values("first"))), scale=100)  # fmt: skip
    yield figure(f"{name}.changed.texts", f"{name}: texts that were read for it", "texts",
                 spread(values("changed_texts")), limit=MOST_TEXTS)  # fmt: skip
