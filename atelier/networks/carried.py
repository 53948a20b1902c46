"""Carried: what one open model carries of networks, slot by slot, each with the patch that takes it back."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import torch

from atelier.checkpoints.network_files import NetworkFile
from atelier.networks.asked import Curve
from atelier.networks.bake import Misfit
from atelier.networks.patch import Patch
from atelier.networks.ride import Strength
from atelier.prompts.tags import NetworkTag


@dataclass(frozen=True)
class Report:
    """What became of the tags: `files` in force by the name that the prompt gives them, comments for people.

    `bundled` are the names of embeddings that came with a file, with that file.
    """

    files: tuple[tuple[str, NetworkFile], ...] = ()
    comments: tuple[str, ...] = ()
    bundled: Mapping[str, NetworkFile] = field(default_factory=lambda: MappingProxyType({}))


@dataclass
class Slot:
    """One patch, the key of what it holds, and what did not fit."""

    key: Hashable = ()
    patch: Patch = field(default_factory=Patch)
    notes: list[Misfit] = field(default_factory=list)


@dataclass
class Carried:
    """Slots are the components of the model, "timed" and "hypernetworks". `tags` are those that were applied last."""

    key: Hashable = None
    report: Report = field(default_factory=Report)
    tags: tuple[tuple[NetworkTag, ...], bool] = ((), False)
    slots: dict[str, Slot] = field(default_factory=dict)
    timed: list[tuple[Curve, Strength]] = field(default_factory=list)
    embeddings: Mapping[str, torch.Tensor] = field(default_factory=lambda: MappingProxyType({}))

    def fill(self, name: str, key: Hashable, work: Callable[[Patch], list[Misfit]]) -> None:
        """The slot holds what `work` does; nothing is done where it holds the same already. An empty key empties it."""
        slot = self.slots.setdefault(name, Slot())
        if slot.key == key:
            return
        slot.patch.restore()
        slot.key, slot.notes = (), []
        if key:
            slot.notes = work(slot.patch)
            slot.key = key

    @property
    def notes(self) -> list[Misfit]:
        return [note for slot in self.slots.values() for note in slot.notes]

    def key_of(self, name: str) -> Hashable:
        return self.slots[name].key if name in self.slots else ()

    def restore(self) -> None:
        """The model is as it was loaded."""
        for slot in self.slots.values():
            slot.patch.restore()
        self.slots.clear()
        self.timed.clear()
