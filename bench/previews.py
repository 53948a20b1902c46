"""Previews: what live previews cost beside the steps that they show, by method."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from diffusers import AutoencoderTiny
from safetensors.torch import save_file

from atelier.base.events import Event, PreviewReady, StepDone
from atelier.checkpoints.approx import DECODER
from atelier.params.groups import Previews
from atelier.pipeline.preview import CHEAP, FULL, ROUGH, TINY
from bench.report import Figure, figure
from bench.studio import Scene, Studio
from bench.timing import Effort, Figures, alternate

MOST_PERCENT = 2.0
METHODS = (CHEAP, ROUGH, TINY, FULL)


class PreviewClock:
    """Tells the time of previews from that of the steps around them. A preview begins when the program asks whether
    anybody watches, and ends when it is sent.

    Figures: "step" and "step_cpu", seconds of a step without its preview; "preview" and "preview_cpu", seconds of
    previews for each step; "share" and "share_cpu", one over the other; "count", how many previews there were.
    """

    def __init__(self, settle: Callable[[], None] = lambda: None) -> None:
        self._settle = settle
        self._marks: list[tuple[float, float, float, float]] = []
        self._spent = (0.0, 0.0)
        self._began = (0.0, 0.0)
        self.count = 0

    def watched(self, job: str) -> bool:
        self._began = self._now()
        return True

    def hear(self, event: Event) -> None:
        if isinstance(event, StepDone):
            self._marks.append((*self._now(), *self._spent))
        elif isinstance(event, PreviewReady):
            ended = self._now()
            self._spent = tuple(s + e - b for s, e, b in zip(self._spent, ended, self._began, strict=True))
            self.count += 1

    def figures(self) -> Figures:
        if len(self._marks) < 2:
            raise ValueError("a step cannot be measured with fewer than two marks")
        steps = len(self._marks) - 1
        wall, cpu, spent, spent_cpu = ((last - first) / steps for first, last in zip(self._marks[0], self._marks[-1]))
        return {
            "step": wall - spent, "step_cpu": cpu - spent_cpu, "preview": spent, "preview_cpu": spent_cpu,
            "share": spent / (wall - spent), "share_cpu": spent_cpu / (cpu - spent_cpu), "count": self.count,
        }  # fmt: skip

    def _now(self) -> tuple[float, float]:
        self._settle()
        return time.perf_counter(), time.process_time()


class PreviewStudio:
    """A studio that somebody watches. Finished pictures, which are not what is timed here, are decoded by the small
    decoder where there is one; but where previews are by the VAE, since both obey one setting."""

    def __init__(self, data: Path, checkpoint: Path, scene: Scene) -> None:
        self.scene = scene
        self.clock = PreviewClock()
        self.studio = Studio(data, checkpoint, watched=lambda job: self.clock.watched(job))

    def paint(self, method: str) -> Figures:
        """At the period of the settings, of which the method alone is changed."""
        self.clock = PreviewClock(self.studio.settle)
        finished = "Full" if method == FULL else "TAESD"
        self.studio.generate(self.scene, self.clock.hear, show_progress_type=method, sd_vae_decode_method=finished)
        return self.clock.figures()

    def must_have_a_small_decoder(self) -> None:
        """Raises `RuntimeError` where the methods that use one would fall back to the cheap one."""
        if self.studio.engine.services.approx.network(self.studio.model, DECODER) is None:
            raise RuntimeError("models/VAE-approx holds no small decoder for this model")

    def close(self) -> None:
        self.studio.close()


def write_small_decoder(folder: Path) -> Path:
    """TAESD's decoder in its full size, with random weights, where the program looks for it."""
    path = folder / "VAE-approx" / "taesd_decoder.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    decoder = AutoencoderTiny().decoder
    save_file({f"decoder.{name}": tensor for name, tensor in decoder.state_dict().items()}, str(path))
    return path


def measure_previews(painter: PreviewStudio, effort: Effort, name: str, full: bool) -> Iterator[Figure]:
    """Only a `full` model has steps that are worth a target, and only the method of the settings has one."""
    painter.must_have_a_small_decoder()
    scene = painter.scene
    contenders = {method: lambda method=method: painter.paint(method) for method in METHODS}
    rounds = alternate(contenders, effort)
    usual = Previews().show_progress_type
    yield figure(f"{name}.step", f"{name}: a step without previews ({scene.size})", "ms", rounds.spread(usual, "step"),
                 scale=1000)  # fmt: skip
    for method in METHODS:
        key = f"{name}.{method.lower().replace(' ', '_')}"
        counts = rounds.values(method, "count")
        note = f"{min(counts):.0f} to {max(counts):.0f} previews in {scene.steps} steps"
        what = f"{name}: previews by {method}{' (the usual method)' if method == usual else ''}, of a step"
        yield figure(key, what, "%", rounds.spread(method, "share"), scale=100, note=note,
                     limit=MOST_PERCENT if full and method == usual else None)  # fmt: skip
        yield figure(f"{key}.cpu", f"{name}: the same in processor time", "%", rounds.spread(method, "share_cpu"),
                     scale=100)  # fmt: skip
        yield figure(f"{key}.ms", f"{name}: the same for each step", "ms", rounds.spread(method, "preview"), scale=1000)
