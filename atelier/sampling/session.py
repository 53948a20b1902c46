"""SamplingPlan: one pass of a sampler, from starting noise to latents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from atelier.base.errors import BadRequest
from atelier.sampling.catalogue import Sampler, Schedule, check_steps
from atelier.sampling.denoise import Denoiser
from atelier.sampling.noise import NoiseSource, PictureNoise
from atelier.sampling.prediction import ConsistencyPrediction, Prediction
from atelier.sampling.samplers.algebra import Churn, OnStep
from atelier.sampling.samplers.unipc import UniPCOptions
from atelier.sampling.schedules import ddim_timesteps, exponential, without_second_last
from atelier.sampling.step import ignore

OLD_RANGE = (0.1, 10.0)
# A strength of exactly 1 would leave no step of the schedule out, and one more than there are is needed.
STRONGEST = 0.999


@dataclass(frozen=True)
class SamplerOptions:
    """What users may set about sampling beside sampler, schedule and steps; names and defaults are A1111's.

    `sigma_min`, `sigma_max`, `rho` and `s_tmax` of 0 mean the default. `ensd` is applied by `PictureNoise`.
    `table` is sd1 or sdxl for Align Your Steps. `noise_multiplier` and `extra_noise` act on img2img only.
    `joint_noise` draws the noise of SDE samplers for the whole batch at once, so that a picture depends on the batch.
    """

    eta: float = 1.0
    eta_ddim: float = 0.0
    tcd_gamma: float = 0.3
    s_churn: float = 0.0
    s_tmin: float = 0.0
    s_tmax: float = 0.0
    s_noise: float = 1.0
    sigma_min: float = 0.0
    sigma_max: float = 0.0
    rho: float = 0.0
    discard_penultimate: bool = False
    ensd: int = 0
    old_karras: bool = False
    sgm_noise_multiplier: bool = False
    quantize: bool = False
    beta_alpha: float = 0.6
    beta_beta: float = 0.6
    table: str = "sd1"
    uni_pc_variant: str = "bh1"
    uni_pc_skip_type: str = "time_uniform"
    uni_pc_order: int = 3
    uni_pc_lower_order_final: bool = True
    noise_multiplier: float = 1.0
    extra_noise: float = 0.0
    joint_noise: bool = False


def img2img_steps(steps: int, denoising_strength: float, fixed_steps: bool) -> tuple[int, int]:
    """Length of the schedule, and the last index of the part that is walked.

    Plain: the schedule has `steps`, and int(strength * steps) + 1 of them are walked. Fixed (always in a hires
    pass): the schedule is long enough that exactly `steps` are walked; with strength 0 there is none.
    """
    if fixed_steps:
        total = int(steps / min(denoising_strength, STRONGEST)) if denoising_strength > 0 else 0
        return total, steps - 1
    return steps, int(min(denoising_strength, STRONGEST) * steps)


@dataclass(frozen=True, eq=False)
class SamplingPlan:
    """One pass: which levels are walked and by which sampler. Nothing in it depends on a seed.

    `calls` is the number of network calls expected (samplers of second order count two a step), for progress.
    `prompt_calls` is the number on which prompt editing counts: the steps asked for, doubled in the same way.
    `sigmas` is empty for samplers over timesteps, `timesteps` for the others; both hold only what is walked.
    """

    sampler: Sampler
    prediction: Prediction
    options: SamplerOptions
    sigmas: Tensor
    timesteps: tuple[int, ...]
    sigma_range: tuple[float, float]
    calls: int
    prompt_calls: int
    from_noise: bool = True

    def prediction_for(self, prediction: Prediction) -> Prediction:
        """Another network's prediction, as the sampler of this pass wants it."""
        return _prediction_for(self.sampler, prediction, self.options)

    def start(self, noise: Tensor, source: Tensor | None = None) -> Tensor:  # [B, C, H, W] -> [B, C, H, W]
        """Where the pass begins: noise alone, or `source` latents brought to the first level."""
        if self.sampler.kind == "timestep":
            return self._start_of_timesteps(noise, source)
        if source is not None and len(self.sigmas) < 2:
            return source
        sigma = float(self.sigmas[0])
        if source is None:
            return noise * ((1 + sigma**2) ** 0.5 if self.options.sgm_noise_multiplier else sigma)
        noise = noise * self.options.noise_multiplier
        return source + noise * sigma + noise * self.options.extra_noise

    def _start_of_timesteps(self, noise: Tensor, source: Tensor | None) -> Tensor:
        if source is None:
            return noise
        if not self.timesteps:
            return source
        alpha = self.prediction.alpha_bar(self.timesteps[-1])
        noise = noise * self.options.noise_multiplier
        mixed = source * alpha**0.5 + noise * (1 - alpha) ** 0.5
        return mixed + noise * self.options.extra_noise * alpha**0.5

    def run(
        self, denoiser: Denoiser, x: Tensor, noise: PictureNoise, on_step: OnStep = ignore
    ) -> Tensor:  # [B, C, H, W] -> [B, C, H, W]
        """Walks the levels from `start`'s result. Raises `Interrupted` when the token asks for it; the denoiser's
        `last_denoised` is then what can be shown."""
        denoiser.prediction = self.prediction
        denoiser.cfg_multiplier = self.sampler.cfg_multiplier
        denoiser.always_uncond = self.sampler.needs_uncond
        denoiser.total_calls = denoiser.total_calls or self.calls
        if self.sampler.kind == "timestep":
            return self._run_timesteps(denoiser, x, noise, on_step)
        if len(self.sigmas) < 2:
            return x
        model = denoiser.pair if self.sampler.needs_uncond else denoiser
        walk = self.sampler.function
        return walk(model, x, self.sigmas, noise=self._noise(noise), on_step=on_step, **self._arguments())

    def _run_timesteps(self, denoiser: Denoiser, x: Tensor, noise: PictureNoise, on_step: OnStep) -> Tensor:
        if not self.timesteps:
            return x
        model = denoiser.eps_pair if self.sampler.needs_uncond else denoiser.eps
        return self.sampler.function(
            model,
            x,
            self.timesteps,
            alphas_cumprod=self.prediction.alphas_cumprod,
            noise=noise.sequence(),
            on_step=on_step,
            **self._arguments(),
        )

    def _noise(self, noise: PictureNoise) -> NoiseSource:
        if not self.sampler.brownian:
            return noise.sequence()
        return noise.brownian(*self.sigma_range, together=self.options.joint_noise)

    def _arguments(self) -> dict[str, Any]:
        given, timestep = self.options, self.sampler.kind == "timestep"
        known = {
            "eta": given.eta_ddim if timestep else given.eta,
            "s_noise": given.s_noise,
            "gamma": given.tcd_gamma,
            "prediction": self.prediction,
            "churn": Churn(given.s_churn, given.s_tmin, given.s_tmax or float("inf"), given.s_noise),
        }
        if "options" in self.sampler.accepts:
            variant = self.sampler.extra.get("solver_type") or given.uni_pc_variant
            start = 1.0 if self.from_noise else (self.timesteps[-1] + 1) / len(self.prediction.alphas_cumprod)
            known["options"] = UniPCOptions(
                variant, given.uni_pc_skip_type, given.uni_pc_order, given.uni_pc_lower_order_final, start
            )
        return {name: known[name] for name in self.sampler.accepts}


def plan_sampling(
    sampler: Sampler,
    schedule: Schedule,
    steps: int,
    prediction: Prediction,
    *,
    denoising_strength: float | None = None,
    fixed_steps: bool = False,
    options: SamplerOptions = SamplerOptions(),
) -> SamplingPlan:
    """The pass of a sampler over a schedule (`Catalogue.schedule_for` finds it for Automatic).

    `denoising_strength` is None for a picture from noise, else 0 to 1. Raises `BadRequest` on a number of steps
    that cannot be walked.
    """
    check_steps(steps)
    factor = sampler.calls_per_step
    from_noise = denoising_strength is None
    total, last = (steps, steps - 1) if from_noise else img2img_steps(steps, denoising_strength, fixed_steps)
    discard = sampler.discard_next_to_last or options.discard_penultimate
    prediction = _prediction_for(sampler, prediction, options)
    sigmas, timesteps, span = torch.empty(0), (), (prediction.sigma_min, prediction.sigma_max)
    if total > 0 and sampler.kind == "timestep":
        length = len(prediction.alphas_cumprod)
        timesteps = ddim_timesteps(min(total + discard, length), length)
        timesteps = timesteps if from_noise else timesteps[: last + 1]
    elif total > 0 and sampler.kind == "own" and from_noise:
        sigmas = exponential(total, *span)
    elif total > 0:
        levels = _levels(schedule, total, prediction, options, discard)
        positive = levels[levels > 0]
        span = (float(positive.min()), float(positive.max()))
        # A table can have fewer levels than a fixed number of steps at small strength asks for.
        begin = total - last - 1 if len(levels) > total else max(len(levels) - last - 2, 0)
        sigmas = levels if from_noise else levels[begin:]
    # Two equal levels make a step of no width, by which several samplers would divide.
    sigmas = sigmas.unique_consecutive()
    if sampler.kind == "own" and len(sigmas) == 2:
        # The range would be empty: go on to the lowest level of the model.
        sigmas = torch.tensor([float(sigmas[0]), prediction.sigma_min, 0.0])
    return SamplingPlan(
        sampler, prediction, options, sigmas, timesteps, span,
        calls=(last + 1) * factor if total > 0 else 0, prompt_calls=steps * factor, from_noise=from_noise,
    )  # fmt: skip


def _prediction_for(sampler: Sampler, prediction: Prediction, options: SamplerOptions) -> Prediction:
    if sampler.consistency:
        return ConsistencyPrediction(prediction.kind, prediction.alphas_cumprod)
    return prediction.with_quantize(prediction.quantize or options.quantize)


def _levels(schedule: Schedule, steps: int, prediction: Prediction, options: SamplerOptions, discard: bool) -> Tensor:
    low, high = OLD_RANGE if options.old_karras else (prediction.sigma_min, prediction.sigma_max)
    low, high = options.sigma_min or low, options.sigma_max or high
    if not 0 < low < high:
        raise BadRequest(
            "sampling.sigma_min", f"the range of sigma from {low:g} to {high:g} is empty.",
            remedy="Choose a lower sigma_min or a higher sigma_max; 0 means the model's own.",
        )  # fmt: skip
    given = {"rho": options.rho, "alpha": options.beta_alpha, "beta": options.beta_beta, "table": options.table}
    sigmas = schedule.sigmas(steps + discard, low, high, prediction, given)
    return without_second_last(sigmas) if discard else sigmas
