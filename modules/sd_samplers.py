"""`modules.sd_samplers`: samplers by name; really in atelier/sampling and modules/_host/samplers.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType({
    "all_samplers": "modules._host.samplers:all_samplers",
    "all_samplers_map": "modules._host.samplers:all_samplers_map", "samplers": "modules._host.samplers:samplers",
    "samplers_for_img2img": "modules._host.samplers:samplers_for_img2img",
    "samplers_map": "modules._host.samplers:samplers_map", "create_sampler": "modules._host.samplers:create_sampler",
    "set_samplers": "modules._host.samplers:set_samplers",
    "visible_samplers": "modules._host.samplers:visible_samplers",
    "visible_sampler_names": "modules._host.samplers:visible_sampler_names",
    "find_sampler_config": "modules._host.samplers:find_sampler_config",
    "get_sampler_and_scheduler": "modules._host.samplers:get_sampler_and_scheduler",
    "SamplerData": "modules._host.samplers:SamplerData",
})  # fmt: skip

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
