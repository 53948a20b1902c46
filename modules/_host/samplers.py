"""`modules.sd_samplers`: the samplers and schedules that can be chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from atelier.base.errors import BadRequest
from atelier.params.capabilities import SamplerInfo
from atelier.params.names import resolve_sampler
from atelier.sampling.catalogue import default_catalogue
from modules._host.attach import current, host
from modules._host.live_dict import LiveDict


@dataclass
class SamplerData:
    name: str
    constructor: Any = None
    aliases: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)

    def total_steps(self, steps: int) -> int:
        return steps * 2 if self.options.get("second_order") else steps


@dataclass
class SchedulerData:
    name: str
    label: str
    function: Any = None
    default_rho: float = -1
    need_inner_model: bool = False
    aliases: list[str] | None = None


class LiveList(list):
    """A list that is read from the program at each look. What an extension appends is kept behind it."""

    def __init__(self, read: Callable[[], list[Any]]) -> None:
        super().__init__()
        self._read = read

    def _now(self) -> list[Any]:
        return [*self._read(), *list.__iter__(self)]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._now())

    def __len__(self) -> int:
        return len(self._now())

    def __getitem__(self, place: Any) -> Any:
        return self._now()[place]

    def __contains__(self, item: object) -> bool:
        return item in self._now()

    def __repr__(self) -> str:
        return repr(self._now())

    def __eq__(self, other: object) -> bool:
        return self._now() == other

    __hash__ = None  # type: ignore[assignment]


def _catalogue() -> Any:
    attached = current()
    services = attached.services if attached is not None else None
    return services.catalogue if services is not None else default_catalogue()


def _samplers() -> list[SamplerData]:
    return [SamplerData(s.name, None, list(s.aliases), s.options) for s in _catalogue().samplers]


def _schedules() -> list[SchedulerData]:
    return [
        SchedulerData(s.name, s.label, s.function, s.default_rho, s.need_inner_model, list(s.aliases))
        for s in _catalogue().schedules
    ]


def _by_names(
    entries: LiveList, names: Callable[[Any], Sequence[str]], value: Callable[[Any], Any] = lambda entry: entry
) -> LiveDict:
    """Each name of an entry -> its value, over a live list."""
    return LiveDict(lambda: {name: value(entry) for entry in entries for name in names(entry)})


all_samplers = LiveList(_samplers)
samplers = LiveList(_samplers)
samplers_for_img2img = LiveList(_samplers)
schedulers = LiveList(_schedules)
all_samplers_map = _by_names(all_samplers, lambda s: (s.name,))
samplers_map = _by_names(all_samplers, lambda s: (s.name.lower(), *(a.lower() for a in s.aliases)), lambda s: s.name)
schedulers_map = _by_names(schedulers, lambda s: (s.name, s.label))


def set_samplers() -> None:
    """The lists are always those of the program."""


def visible_samplers() -> list[SamplerData]:
    hidden = set(host().options.hide_samplers)
    return [sampler for sampler in samplers if sampler.name not in hidden]


def visible_sampler_names() -> list[str]:
    return [sampler.name for sampler in visible_samplers()]


def find_sampler_config(name: str | None) -> SamplerData:
    return all_samplers_map.get(name) or all_samplers[0]


class SamplerHandle:
    """What `create_sampler` gives: the entry that was asked for. Sampling itself is the program's own."""

    def __init__(self, config: SamplerData) -> None:
        self.config = config
        self.options = config.options


def create_sampler(name: str, model: Any) -> SamplerHandle:
    """Raises `BadRequest` for a name that no sampler has."""
    key = samplers_map.get(str(name).lower()) if name else all_samplers[0].name
    if key is None:
        raise BadRequest("sampler_name", f"there is no sampler named {name!r}.")
    return SamplerHandle(all_samplers_map[key])


def get_sampler_and_scheduler(
    sampler_name: str | None, scheduler_name: str | None, *, convert_automatic: bool = True
) -> tuple[str, str]:
    """Splits old combined names such as "DPM++ 2M Karras"."""
    lists = host().app.capabilities()
    if lists is not None:
        return resolve_sampler(lists, sampler_name, scheduler_name, strict=False)
    infos = [SamplerInfo(s.name) for s in all_samplers]
    return sampler_name or infos[0].name, scheduler_name or "Automatic"
