"""The samplers and schedules by name, with the names and aliases that users of A1111 know."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from atelier.base.errors import BadRequest
from atelier.base.registry import Registry
from atelier.sampling import schedules
from atelier.sampling.prediction import Prediction
from atelier.sampling.samplers import ddim, dpm, euler, lcm, multistep, restart, solver, unipc

NO_RHO = -1.0


@dataclass(frozen=True)
class Sampler:
    """One entry of the catalogue.

    `kind`: sigma (walks a list of sigmas), timestep (walks training timesteps, ignores schedules) or own (uses only
    the range of sigma). `accepts` names the keyword options that `function` takes. `options` is what
    `GET /sdapi/v1/samplers` shows. `schedule` is the default schedule's name; empty for the model's own.
    """

    name: str
    function: Callable[..., Tensor]
    aliases: tuple[str, ...] = ()
    kind: str = "sigma"
    schedule: str = ""
    accepts: tuple[str, ...] = ()
    second_order: bool = False
    uses_ensd: bool = False
    brownian: bool = False
    discard_next_to_last: bool = False
    consistency: bool = False
    needs_uncond: bool = False
    cfg_multiplier: float = 1.0
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def options(self) -> dict[str, Any]:
        shown: dict[str, Any] = {"scheduler": self.schedule} if self.schedule else {}
        flags = {
            "uses_ensd": self.uses_ensd,
            "second_order": self.second_order,
            "brownian_noise": self.brownian,
            "discard_next_to_last_sigma": self.discard_next_to_last,
        }
        return {**shown, **{key: True for key, on in flags.items() if on}, **self.extra}


@dataclass(frozen=True)
class Schedule:
    """One entry of the catalogue. `default_rho` is -1 where the schedule has no rho; `takes` names its options."""

    name: str
    label: str
    function: Callable[..., Tensor] | None
    aliases: tuple[str, ...] = ()
    default_rho: float = NO_RHO
    need_inner_model: bool = False
    takes: tuple[str, ...] = ()

    def sigmas(
        self, n: int, sigma_min: float, sigma_max: float, prediction: Prediction, options: Mapping[str, Any]
    ) -> Tensor:  # [n + 1], falling, usually ending in 0
        """`options` may hold rho, alpha, beta and table; each is used only where the schedule takes it."""
        if self.function is None:
            raise ValueError(f"the schedule {self.label} stands for a sampler's default and has no sigmas of its own")
        given = {key: options[key] for key in self.takes if key in options}
        if self.default_rho != NO_RHO and options.get("rho"):
            given["rho"] = options["rho"]
        if self.need_inner_model:
            given["prediction"] = prediction
        return self.function(n, sigma_min, sigma_max, **given)


AUTOMATIC = "automatic"
CONSISTENCY = Schedule("lcm", "LCM", schedules.consistency, need_inner_model=True)
FIRST_SAMPLER = "DPM++ 2M"


def default_schedules() -> Registry[Schedule]:
    registry: Registry[Schedule] = Registry("schedule")
    for entry in (
        Schedule(AUTOMATIC, "Automatic", None),
        Schedule("uniform", "Uniform", schedules.uniform, need_inner_model=True),
        Schedule("karras", "Karras", schedules.karras, default_rho=7.0),
        Schedule("exponential", "Exponential", schedules.exponential),
        Schedule("polyexponential", "Polyexponential", schedules.polyexponential, default_rho=1.0),
        Schedule("sgm_uniform", "SGM Uniform", schedules.sgm_uniform, ("SGMUniform",), need_inner_model=True),
        Schedule("kl_optimal", "KL Optimal", schedules.kl_optimal),
        Schedule("align_your_steps", "Align Your Steps", schedules.align_your_steps, takes=("table",)),
        Schedule("simple", "Simple", schedules.simple, need_inner_model=True),
        Schedule("normal", "Normal", schedules.normal, need_inner_model=True),
        Schedule("ddim", "DDIM", schedules.ddim, need_inner_model=True),
        Schedule("beta", "Beta", schedules.beta, takes=("alpha", "beta")),
    ):
        registry.add(entry.name, entry, (entry.label, *entry.aliases))
    return registry


def default_samplers() -> Registry[Sampler]:
    """In the order of the list that users see; the first is the default."""
    registry: Registry[Sampler] = Registry("sampler")
    for entry in (*_log_sigma_samplers(), *_slope_samplers(), *_timestep_samplers()):
        registry.add(entry.name, entry, entry.aliases)
    return registry


def _log_sigma_samplers() -> tuple[Sampler, ...]:
    fresh = ("eta", "s_noise")
    return (
        Sampler(FIRST_SAMPLER, multistep.dpmpp_2m, ("k_dpmpp_2m",), schedule="karras"),
        Sampler(
            "DPM++ SDE", dpm.dpmpp_sde, ("k_dpmpp_sde",),
            schedule="karras", accepts=fresh, second_order=True, brownian=True,
        ),
        Sampler(
            "DPM++ 2M SDE", multistep.dpmpp_2m_sde, ("k_dpmpp_2m_sde",),
            schedule="exponential", accepts=fresh, brownian=True,
        ),
        Sampler(
            "DPM++ 2M SDE Heun", multistep.dpmpp_2m_sde_heun, ("k_dpmpp_2m_sde_heun",),
            schedule="exponential", accepts=fresh, brownian=True, extra={"solver_type": "heun"},
        ),
        Sampler(
            "DPM++ 2S a", dpm.dpmpp_2s_ancestral, ("k_dpmpp_2s_a",),
            schedule="karras", accepts=fresh, second_order=True, uses_ensd=True,
        ),
        Sampler(
            "DPM++ 3M SDE", multistep.dpmpp_3m_sde, ("k_dpmpp_3m_sde",),
            schedule="exponential", accepts=fresh, brownian=True, discard_next_to_last=True,
        ),
    )  # fmt: skip


def _slope_samplers() -> tuple[Sampler, ...]:
    fresh = ("eta", "s_noise")
    return (
        Sampler(
            "Euler a", euler.euler_ancestral, ("k_euler_a", "k_euler_ancestral"), accepts=fresh, uses_ensd=True
        ),
        Sampler("Euler", euler.euler, ("k_euler",), accepts=("churn",)),
        Sampler("LMS", multistep.lms, ("k_lms",)),
        Sampler("Heun", euler.heun, ("k_heun",), accepts=("churn",), second_order=True),
        Sampler(
            "DPM2", dpm.dpm_2, ("k_dpm_2",),
            schedule="karras", accepts=("churn",), second_order=True, discard_next_to_last=True,
        ),
        Sampler(
            "DPM2 a", dpm.dpm_2_ancestral, ("k_dpm_2_a",),
            schedule="karras", accepts=fresh, second_order=True, uses_ensd=True, discard_next_to_last=True,
        ),
        Sampler("DPM fast", solver.dpm_fast, ("k_dpm_fast",), kind="own", accepts=fresh, uses_ensd=True),
        Sampler("DPM adaptive", solver.dpm_adaptive, ("k_dpm_ad",), kind="own", accepts=("eta",), uses_ensd=True),
        Sampler(
            "Restart", restart.restart, ("restart",), schedule="karras", accepts=("s_noise",), second_order=True
        ),
    )  # fmt: skip


def _timestep_samplers() -> tuple[Sampler, ...]:
    return (
        Sampler("DDIM", ddim.ddim, ("ddim",), kind="timestep", accepts=("eta",)),
        Sampler(
            "DDIM CFG++", ddim.ddim_cfgpp, ("ddim_cfgpp",),
            kind="timestep", accepts=("eta",), needs_uncond=True, cfg_multiplier=1 / 12.5,
        ),
        Sampler("PLMS", ddim.plms, ("plms",), kind="timestep"),
        Sampler("UniPC", unipc.unipc, ("unipc",), kind="timestep", accepts=("options",)),
        Sampler("LCM", lcm.lcm, ("k_lcm",), consistency=True),
    )  # fmt: skip


@dataclass(frozen=True)
class Catalogue:
    """The samplers and schedules of a running program."""

    samplers: Registry[Sampler]
    schedules: Registry[Schedule]

    def resolve(
        self, sampler_name: str | None, scheduler: str | None, *, strict: bool = True, keep_default: bool = False
    ) -> tuple[Sampler, str]:
        """A sampler and the label of a schedule for names as users write them, such as "DPM++ 2M Karras".

        A schedule at the end of the sampler's name beats `scheduler`; the longest fitting one is taken. Case does not
        matter and aliases count. A schedule that is the sampler's own default is reported as Automatic, unless
        `keep_default`. Unknown names raise `BadRequest` when `strict`; else they give the first sampler and Automatic.
        """
        name = (sampler_name or "").strip()
        schedule = self.schedules.find((scheduler or AUTOMATIC).strip() or AUTOMATIC)
        if schedule is None and strict:
            self.schedules.get(scheduler or "", "sampling.scheduler")
        sampler = self.samplers.find(name) if name else self.samplers.find(FIRST_SAMPLER)
        if sampler is None:
            name, schedule = self._split_suffix(name, schedule)
            sampler = self.samplers.find(name)
        if sampler is None:
            if strict:
                self.samplers.get(name, "sampling.sampler")
            sampler = next(iter(self.samplers))
        schedule = schedule or self.schedules.get(AUTOMATIC)
        if not keep_default and schedule.name == sampler.schedule:
            schedule = self.schedules.get(AUTOMATIC)
        return sampler, schedule.label

    def _split_suffix(self, name: str, schedule: Schedule | None) -> tuple[str, Schedule | None]:
        endings = [(ending, entry) for entry in self.schedules for ending in (entry.label, entry.name, *entry.aliases)]
        for ending, entry in sorted(endings, key=lambda pair: -len(pair[0])):
            if name.lower().endswith(" " + ending.lower()):
                return name[: -len(ending) - 1].rstrip(), entry
        return name, schedule

    def schedule_for(self, sampler: Sampler, label: str) -> Schedule:
        """The schedule that is meant: for Automatic the sampler's own default, else the model's. Raises
        `BadRequest` on an unknown label."""
        schedule = self.schedules.get(label, "sampling.scheduler")
        if schedule.name != AUTOMATIC:
            return schedule
        if sampler.schedule:
            return self.schedules.get(sampler.schedule)
        return CONSISTENCY if sampler.consistency else self.schedules.get("uniform")


def default_catalogue() -> Catalogue:
    return Catalogue(default_samplers().freeze(), default_schedules().freeze())


def resolve(
    sampler_name: str | None, scheduler: str | None, *, strict: bool = True, keep_default: bool = False
) -> tuple[Sampler, str]:
    """`Catalogue.resolve` over the samplers and schedules that the program itself brings."""
    return default_catalogue().resolve(sampler_name, scheduler, strict=strict, keep_default=keep_default)


def check_steps(steps: int, field: str = "sampling.steps") -> int:
    """Raises `BadRequest` unless there is at least one step, and no more than training timesteps."""
    if not 1 <= steps <= 1000:
        raise BadRequest(field, f"{steps} steps cannot be taken.", remedy="Choose 1 to 1000.")
    return steps
