"""`modules.extra_networks`: really in atelier/prompts/tags.py, atelier/networks and modules/_host/networks.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType({
    "ExtraNetwork": "modules._host.networks:ExtraNetwork",
    "ExtraNetworkParams": "modules._host.networks:ExtraNetworkParams",
    "parse_prompt": "modules._host.networks:parse_prompt", "parse_prompts": "modules._host.networks:parse_prompts",
    "register_extra_network": "@networks.register", "register_extra_network_alias": "@networks.register_alias",
    "activate": "@networks.activate", "deactivate": "@networks.deactivate",
    "extra_network_registry": "@networks.registry", "extra_network_aliases": "@networks.aliases",
})  # fmt: skip

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
