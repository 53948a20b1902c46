"""Sampler and Schedule: the entries of the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from atelier.sampling.prediction import Prediction

NO_RHO = -1.0


@dataclass(frozen=True)
class Sampler:
    """One entry of the catalogue.

    `kind`: sigma (walks a list of sigmas), timestep (walks training timesteps, ignores schedules) or own (uses only
    the range of sigma). `accepts` names the keyword options that `function` takes. `options` is what
    `GET /sdapi/v1/samplers` shows. `schedule` is the default schedule's name; empty for the model's own, or for `own`,
    a schedule that stands in no list. `calls` is how often a step asks the network; 0 leaves it to `second_order`.
    With `needs_uncond` the function is handed what gives the guided guess together with the one of the negative text.
    """

    name: str
    function: Callable[..., Tensor]
    aliases: tuple[str, ...] = ()
    kind: str = "sigma"
    schedule: str = ""
    own: Schedule | None = None
    accepts: tuple[str, ...] = ()
    second_order: bool = False
    calls: int = 0
    uses_ensd: bool = False
    brownian: bool = False
    discard_next_to_last: bool = False
    consistency: bool = False
    needs_uncond: bool = False
    cfg_multiplier: float = 1.0
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def calls_per_step(self) -> int:
        return self.calls or (2 if self.second_order else 1)

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
