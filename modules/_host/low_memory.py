"""`modules.lowvram`: where models are is decided by the engine; scripts may ask for room."""

from __future__ import annotations

from typing import Any

from modules._host.attach import host

#: the engine keeps its own account
module_in_gpu = None


def send_everything_to_cpu() -> None:
    """Whatever nobody uses leaves the device."""
    services = host().services
    if services is not None:
        services.residency.evict_idle()


def is_enabled(sd_model: Any) -> bool:
    services = host().services
    return services is not None and services.residency.policy != "keep"


is_needed = is_enabled


def setup_for_low_vram(sd_model: Any, use_medvram: bool) -> None:
    """Nothing is left to be set up: parts are brought to the device when they work."""


def apply(sd_model: Any) -> None:
    """As `setup_for_low_vram`."""
