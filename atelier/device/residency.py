"""Residency: which parts of a model are on the device, what must leave, what may come."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
import torch
from torch import nn

from atelier.base.log import fields, logger

log = logger(__name__)


@dataclass
class Resident:
    """One component in the ledger. `holds` counts the leases that need it on the device now."""

    module: nn.Module
    bytes: int
    holds: int = 0
    last_use: int = 0
    present: bool = False


class Residency:
    """The one place that moves weights between memory and device.

    `policy` "keep" leaves components on the device until room is needed; "rotate" sends a component back as soon as
    nobody holds it. Where the device is the CPU nothing moves and the ledger only counts.
    """

    def __init__(self, device: torch.device, policy: str = "keep", free_bytes=None) -> None:
        self.device = device
        self.policy = policy
        self._free_bytes = free_bytes or free_memory
        self._ledger: dict[int, Resident] = {}
        self._clock = itertools.count(1)

    @contextmanager
    def lease(self, *modules: nn.Module, working: int = 0) -> Iterator[None]:
        """The modules are on the device inside the block. `working` is the bytes that the work itself will need."""
        held = [self._entry(module) for module in modules]
        for entry in held:
            entry.holds += 1
            entry.last_use = next(self._clock)
        try:
            for entry in held:
                self._bring(entry, working)
            yield
        finally:
            for entry in held:
                entry.holds -= 1
                if self.policy == "rotate" and entry.holds == 0:
                    self._send_away(entry)

    def forget(self, module: nn.Module) -> None:
        """Takes a component out of the ledger, when its model is closed."""
        self._ledger.pop(id(module), None)

    def evict_idle(self) -> int:
        """Sends away everything that nobody holds; returns the bytes that this freed on the device."""
        freed = 0
        for entry in self._idle() if self.device.type != "cpu" else ():
            freed += entry.bytes
            self._send_away(entry)
        empty_cache(self.device)
        return freed

    @property
    def resident_bytes(self) -> int:
        return sum(entry.bytes for entry in self._ledger.values() if entry.present)

    def _entry(self, module: nn.Module) -> Resident:
        entry = self._ledger.get(id(module))
        if entry is None:
            size = sum(t.numel() * t.element_size() for t in (*module.parameters(), *module.buffers()))
            entry = self._ledger[id(module)] = Resident(module, size)
            first = next(module.parameters(), None)
            entry.present = first is not None and first.device == self.device
        return entry

    def _bring(self, entry: Resident, working: int) -> None:
        if entry.present:
            return
        for idle in self._idle():
            if self._free_bytes(self.device) >= entry.bytes + working:
                break
            self._send_away(idle)
        entry.module.to(self.device)
        entry.present = True
        log.debug("component on device: %s", fields(device=self.device, bytes=entry.bytes))

    def _idle(self) -> list[Resident]:
        return sorted((e for e in self._ledger.values() if e.present and not e.holds), key=lambda e: e.last_use)

    def _send_away(self, entry: Resident) -> None:
        if self.device.type == "cpu" or not entry.present:
            return
        entry.module.to("cpu")
        entry.present = False


def free_memory(device: torch.device) -> int:
    """Bytes that can still be allocated on the device."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if device.type == "xpu":
        free, _ = torch.xpu.mem_get_info(device)
        return free
    return psutil.virtual_memory().available


def empty_cache(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "xpu":
        torch.xpu.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
