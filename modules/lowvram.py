"""`modules.lowvram`: room on the device; really in atelier/device/residency.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType(
    {
        "send_everything_to_cpu": "modules._host.low_memory:send_everything_to_cpu",
        "setup_for_low_vram": "modules._host.low_memory:setup_for_low_vram",
        "is_enabled": "modules._host.low_memory:is_enabled",
        "is_needed": "modules._host.low_memory:is_needed",
        "apply": "modules._host.low_memory:apply",
        "module_in_gpu": "modules._host.low_memory:module_in_gpu",
        "cpu": "modules._host.devices:cpu",
    }
)

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
