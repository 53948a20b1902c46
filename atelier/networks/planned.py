"""Planned: which layers of which component are changed by which entries of the files that are in force."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence

import torch

from atelier.networks.bake import BAKED, Misfit, Scratch, Use, bake
from atelier.networks.keys import LayerMap, Target
from atelier.networks.network import Network
from atelier.networks.patch import Patch
from atelier.networks.resolve import Wanted
from atelier.networks.ride import Strength, ride

UNET, TIMED = "unet", "timed"
STEADY = Strength()

Layers = dict[Target, list[Use]]


class Planned:
    """Which layers of which component are changed by what."""

    def __init__(self, names: LayerMap | None) -> None:
        self._names = names
        self.layers: dict[str, Layers] = {}
        self.timed: dict[Target, list[tuple[Use, Strength]]] = {}
        self.strengths: list[tuple[Wanted, Strength]] = []
        #: how many layers each network has found
        self.counts: Counter[str] = Counter()
        self._keys: dict[str, list[Hashable]] = {}

    def add(self, item: Wanted, network: Network) -> list[str]:
        """Returns what people should know of layers that were not found."""
        ask, strength, missing, touched = item.ask, Strength(), [], set()
        for layer, parts in network.layers.items():
            target = self._names.find(layer)
            if target is None:
                missing.append(layer)
                continue
            self.counts[ask.name] += 1
            ratio = ask.ratio(target.block)
            if target.component == UNET and not ask.unet.steady:
                if ratio != 0:
                    self.timed.setdefault(target, []).append((Use(ask.name, parts, ratio, ask.dyn), strength))
                    touched.add(TIMED)
                continue
            own = ratio * (ask.unet.first if target.component == UNET else ask.te)
            if own != 0:
                uses = self.layers.setdefault(target.component, {}).setdefault(target, [])
                uses.append(Use(ask.name, parts, own, ask.dyn))
                touched.add(target.component)
        if TIMED in touched:
            self.strengths.append((item, strength))
        for slot in touched:
            multiplier = ask.unet if slot in (UNET, TIMED) else ask.te
            self._keys.setdefault(slot, []).append((item.stamp, multiplier, ask.dyn, ask.blocks))
        return not_found(ask.name, missing, network)

    def key(self, slot: str) -> Hashable:
        return tuple(self._keys.get(slot, ()))


def put_layers(layers: Layers, patch: Patch) -> list[Misfit]:
    misfits, scratch = [], Scratch()
    with torch.no_grad():
        for target, uses in layers.items():
            if all(module.weight.dtype in BAKED for module in target.modules):
                misfits += bake(target, uses, patch, scratch)
            else:
                misfits += ride(target, [(use, STEADY) for use in uses], patch)
    return misfits


def not_found(name: str, missing: Sequence[str], network: Network) -> list[str]:
    if not missing:
        return []
    if len(missing) == len(network.layers):
        return [f"<lora:{name}> was left out: none of its layers is in this model (such as {missing[0]})."]
    return [
        f"{len(missing)} of {len(network.layers)} layers of <lora:{name}> are not in this model (such as {missing[0]})."
    ]


def told(misfits: Sequence[Misfit], counts: Mapping[str, int]) -> Iterator[str]:
    """What people should know of entries that do not fit; one sentence a network."""
    by_network: dict[str, list[Misfit]] = {}
    for misfit in misfits:
        by_network.setdefault(misfit.network, []).append(misfit)
    for name, found in by_network.items():
        example = f"(such as {found[0].layer}: {found[0].reason.rstrip('.')})"
        if len(found) >= counts[name]:
            yield f"<lora:{name}> was left out: none of its layers fits this model {example}."
        else:
            yield f"{len(found)} of {counts[name]} layers of <lora:{name}> do not fit this model {example}."
