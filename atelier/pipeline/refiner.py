"""Takeover: another checkpoint takes the place of the first in the middle of a pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType

import torch

from atelier.base.events import StageChanged
from atelier.checkpoints.load import LoadedModel
from atelier.pipeline.beside import feed_beside
from atelier.pipeline.encode import encode_pass
from atelier.pipeline.guidance import pass_guidance, pass_patches, watching_bytes
from atelier.pipeline.latents import frames_of
from atelier.pipeline.models import levels_of
from atelier.pipeline.networks import use_networks
from atelier.pipeline.state import Pass, Run
from atelier.sampling.denoise import Denoiser

#: which passes of a picture with a hires fix the refiner takes part in, by the setting's words
PASSES = MappingProxyType({
    "first pass": ("first",), "second pass": ("hires",), "both passes": ("first", "hires"),
})  # fmt: skip


def refined_passes(run: Run) -> tuple[str, ...]:
    """The names of the passes in which the refiner takes the place of another model."""
    models, wanted = {"first": run.model}, ("first",)
    if run.plan.passes > 1:
        models["hires"] = run.hires_model
        wanted = PASSES[run.settings.hires_fix_refiner_pass]
    taken = {name for name, model in models.items() if run.refiner is not None and run.refiner is not model}
    return tuple(name for name in models if name in wanted and name in taken)


@dataclass(eq=False)
class NetworkAtWork:
    """The network of a pass on the device, with room for its work; another may take its place."""

    current: Pass
    rows: int
    _held: ExitStack = field(default_factory=ExitStack)

    @contextmanager
    def held(self) -> Iterator[NetworkAtWork]:
        with self._held:
            self.take()
            yield self

    def take(self) -> None:
        """The network of the pass's model comes; the one before may leave."""
        self.leave()
        run, network = self.current.batch.run, self.current.model.denoiser
        services = run.services
        size = self.current.start.shape[-2:]
        estimate = services.estimator.denoiser(network, self.rows, *size, services.ladder.attention.choice.kernel)
        # Further guesses of guidance are calls of their own, with no more rows than the usual one.
        working = estimate.bytes + watching_bytes(self.current, self.rows, *size)
        self._held.enter_context(services.ladder.lease(network, working=working, teller=run))
        self._held.enter_context(pass_patches(self.current))

    def leave(self) -> None:
        self._held.close()


@dataclass(eq=False)
class Takeover:
    """Asked before each call of the network whether it is time; happens once.

    By default the way is measured in noise: a share of 0.8 is passed when the level of noise is that of timestep 199
    of 1000. With `by_calls` it is the share of the calls. Without `at` it happens before the first call.
    """

    current: Pass
    refiner: LoadedModel
    work: NetworkAtWork
    at: float | None
    by_calls: bool = False
    done: bool = False

    def consider(self, denoiser: Denoiser, sigma: torch.Tensor, t: float | None) -> None:  # [B]
        """`t` is the timestep where the sampler walks timesteps."""
        if self.done or (self.at is not None and self._passed(denoiser, sigma, t) < self.at):
            return
        self.done = True
        current, run = self.current, self.current.batch.run
        run.publish(StageChanged(job=run.job, stage="refining"))
        self.work.leave()
        current.model = self.refiner
        hires = current.name == "hires"
        use_networks(current.batch, current.batch.hires_tags if hires else current.batch.tags, hires, self.refiner)
        feed_beside(current, frames_of(current) if current.name == "first" else [])
        current.conditioning = encode_pass(current, current.prompts, current.negatives)
        run.services.hooks.amend_conditioning(batch=current.batch, sampling_pass=current)
        denoiser.conditioning = current.conditioning
        denoiser.prediction = current.plan.prediction_for(levels_of(run, self.refiner))
        # Its further guesses look into the network that walks now.
        denoiser.guidance = pass_guidance(current, denoiser.prediction)
        self.work.take()

    def _passed(self, denoiser: Denoiser, sigma: torch.Tensor, t: float | None) -> float:
        if self.by_calls:
            return denoiser.calls / max(1, denoiser.total_calls)
        last = len(denoiser.prediction.alphas_cumprod) - 1
        if t is None:
            t = float((denoiser.prediction.sigmas - float(sigma.max())).abs().argmin())
            t *= (last + 1) / len(denoiser.prediction.sigmas)
        return (last - t) / (last + 1)


def takeover_for(current: Pass, work: NetworkAtWork) -> Takeover | None:
    run = current.batch.run
    if current.name not in refined_passes(run):
        return None
    by_calls = run.settings.refiner_switch_by_sample_steps
    return Takeover(current, run.refiner, work, run.request.refiner.switch_at, by_calls)
