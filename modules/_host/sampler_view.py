"""Views of a running pass under the names that A1111's samplers and denoiser have."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from atelier.pipeline.state import Pass
from modules._host.old_model import conditioning_key

VIEW = "a1111.denoiser"


class ImageRNGView:
    """`p.rng`: the noise of the pass, one generator a picture."""

    def __init__(self, sampling_pass: Pass) -> None:
        self._noise = sampling_pass.noise
        self.shape = tuple(self._noise.shape)
        self.seeds, self.subseeds = list(self._noise.seeds), list(self._noise.subseeds)
        self.is_first = True

    def first(self) -> Any:  # [B, C, h, w]
        return self._noise.first()

    def next(self) -> Any:  # [B, C, h, w]
        """The noise of the next step; the first call gives the starting noise, as in A1111."""
        if self.is_first:
            self.is_first = False
            return self.first()
        return self._noise.next()


class SamplerView:
    """`p.sampler`. Reading only: what scripts change about sampling goes through the callbacks."""

    def __init__(self, sampling_pass: Pass, p: Any) -> None:
        sampler = sampling_pass.plan.sampler
        self.p = p
        self.funcname = sampler.function.__name__
        self.func = sampler.function
        self.config = SimpleNamespace(
            name=sampler.name, aliases=list(sampler.aliases), options=sampler.options, constructor=None
        )
        self.options = sampler.options
        self.conditioning_key = conditioning_key(sampling_pass.model)
        self.eta = p.eta
        self.s_churn, self.s_tmin, self.s_tmax, self.s_noise = p.s_churn, p.s_tmin, p.s_tmax, p.s_noise
        self.s_min_uncond = p.s_min_uncond
        self.sampler_extra_args: dict[str, Any] = {"cond_scale": p.cfg_scale}
        self.extra_params: tuple[str, ...] = sampler.accepts
        self.last_latent: Any = None
        self.stop_at: int | None = None
        self.model_wrap_cfg = DenoiserView(sampling_pass)
        self.model_wrap = self.model_wrap_cfg.inner_model


class DenoiserView:
    """What callbacks get as `denoiser`: where the pass stands."""

    def __init__(self, sampling_pass: Pass) -> None:
        self._pass = sampling_pass
        self.step = 0
        self.steps = self.total_steps = sampling_pass.steps
        self.mask = self.nmask = self.init_latent = None
        self.image_cfg_scale = None
        self.padded_cond_uncond = False
        self.mask_before_denoising = False
        self.inner_model = SimpleNamespace(sigmas=getattr(sampling_pass.plan, "sigmas", None), inner_model=None)

    @classmethod
    def of(cls, sampling_pass: Pass, step: Any) -> DenoiserView:
        """The view of a pass, brought up to the step."""
        view = sampling_pass.notes.get(VIEW)
        if view is None:
            view = sampling_pass.notes[VIEW] = cls(sampling_pass)
        view.step, view.total_steps = step.index, step.total
        view.mask, view.nmask, view.init_latent = step.mask, step.nmask, step.init_latents
        return view

    @property
    def p(self) -> Any:
        ticket = self._pass.batch.run.notes.get("a1111")
        return None if ticket is None else ticket.p

    @property
    def sampler(self) -> Any:
        return self._pass.notes.get("a1111.sampler")
