"""`modules.sd_schedulers`: schedules; really in atelier/sampling/schedules.py and modules/_host/samplers.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType({
    "schedulers": "modules._host.samplers:schedulers", "schedulers_map": "modules._host.samplers:schedulers_map",
    "Scheduler": "modules._host.samplers:SchedulerData",
})  # fmt: skip

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
