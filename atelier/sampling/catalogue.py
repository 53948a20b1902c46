"""Catalogue: samplers and schedules by name, as users of A1111, Forge and ComfyUI write them."""

from __future__ import annotations

from dataclasses import dataclass

from atelier.base.errors import BadRequest
from atelier.base.registry import Registry
from atelier.sampling.entry import Sampler, Schedule
from atelier.sampling.table import AUTOMATIC, FIRST_SAMPLER, default_samplers, default_schedules


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
        return sampler.own or self.schedules.get("uniform")


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
