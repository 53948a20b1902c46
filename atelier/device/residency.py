"""Residency: which parts of a model are on the device, what must leave, what may come."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from atelier.base.log import fields, logger
from atelier.device.memory import empty_cache, free_memory
from atelier.device.streaming import Stream, blocks_of

log = logger(__name__)

POLICIES = ("keep", "rotate", "stream")
#: a component is streamed from this size on; smaller ones come and go as a whole
STREAM_FROM = 512 << 20


@dataclass
class Resident:
    """One component in the ledger. `holds` counts the leases that need it on the device now.

    `present` is True when it can be used, also while its blocks are streamed; `streaming` says which of the two.
    """

    module: nn.Module
    bytes: int
    holds: int = 0
    last_use: int = 0
    present: bool = False
    streaming: bool = False
    stream: Stream | None = None


class Residency:
    """The one place that moves weights between memory and device.

    `policy` "keep" leaves components on the device until room is needed; "rotate" sends a component back as soon as
    nobody holds it; "stream" does the same, and brings large components block by block while they work. Where the
    device is the CPU nothing moves and the ledger only counts. Devices other than the CPU are not measured.
    """

    def __init__(
        self,
        device: torch.device,
        policy: str = "keep",
        free_bytes: Callable[[torch.device], int] | None = None,
        make_stream: Callable[[nn.Module, torch.device], Stream] = Stream,
        stream_from: int = STREAM_FROM,
    ) -> None:
        self.device = device
        self.policy = policy
        self.stream_from = stream_from
        self._free_bytes = free_bytes or free_memory
        self._make_stream = make_stream
        self._ledger: dict[int, Resident] = {}
        self._clock = itertools.count(1)

    @contextmanager
    def lease(self, *modules: nn.Module, working: int = 0) -> Iterator[None]:
        """The modules are on the device inside the block. `working` is the bytes that the work itself will need.

        Raises the device's out-of-memory error when there is no room; nothing is left half moved then.
        """
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
                if self.policy != "keep" and entry.holds == 0:
                    self._send_away(entry)

    def forget(self, module: nn.Module) -> None:
        """Takes a component out of the ledger, when its model is closed."""
        entry = self._ledger.pop(id(module), None)
        if entry is not None and entry.streaming:
            entry.stream.stop()

    def evict_idle(self) -> int:
        """Sends away everything that nobody holds; returns the bytes that this freed on the device."""
        freed = 0
        for entry in self._idle() if self.device.type != "cpu" else ():
            freed += _takes(entry)
            self._send_away(entry)
        empty_cache(self.device)
        return freed

    def stream_from_now(self) -> bool:
        """Large components are streamed until the policy is set again, also those in use. False if there are none."""
        if self.device.type == "cpu" or self.policy == "stream":
            return False
        large = [e for e in self._ledger.values() if self._streamable(e)]
        if not large:
            return False
        self.policy = "stream"
        for entry in large:
            if entry.present:
                self._send_away(entry)
                if entry.holds:
                    self._bring(entry, 0)
        return True

    @property
    def resident_bytes(self) -> int:
        """Bytes of weights on the device, slots of streams included."""
        return sum(_takes(entry) for entry in self._ledger.values() if entry.present)

    def free(self) -> int:
        """Bytes that work could have on the device if everything idle left it."""
        idle = sum(_takes(entry) for entry in self._idle()) if self.device.type != "cpu" else 0
        return self._free_bytes(self.device) + idle

    def _entry(self, module: nn.Module) -> Resident:
        entry = self._ledger.get(id(module))
        if entry is None:
            entry = self._ledger[id(module)] = Resident(module, 0)
            first = next(module.parameters(), None)
            entry.present = first is not None and first.device == self.device
        if entry.holds == 0:
            # Counted again, since a part may have changed its precision while nobody held it.
            entry.bytes = sum(t.numel() * t.element_size() for t in (*module.parameters(), *module.buffers()))
        return entry

    def _streamable(self, entry: Resident) -> bool:
        return entry.bytes >= self.stream_from and (entry.stream is not None or bool(blocks_of(entry.module)))

    def _bring(self, entry: Resident, working: int) -> None:
        stream = self.policy == "stream" and self.device.type != "cpu" and self._streamable(entry)
        if entry.present and entry.streaming != stream and entry.holds == 1:
            self._send_away(entry)  # the policy has changed since it came
        if entry.present:
            self._make_room(working)
            return
        if stream:
            entry.stream = entry.stream or self._make_stream(entry.module, self.device)
            self._make_room(entry.stream.resident_bytes + working)
            entry.stream.start()
        else:
            self._make_room(entry.bytes + working)
            self._move(entry)
        entry.present, entry.streaming = True, stream
        log.debug("component on device: %s", fields(device=self.device, bytes=entry.bytes, streaming=stream))

    def _move(self, entry: Resident) -> None:
        try:
            entry.module.to(self.device)
        except (RuntimeError, MemoryError):
            entry.module.to("cpu")  # half of a module on the device would be neither here nor there
            raise

    def _make_room(self, wanted: int) -> None:
        for idle in self._idle() if self.device.type != "cpu" else ():
            if self._free_bytes(self.device) >= wanted:
                return
            self._send_away(idle)

    def _idle(self) -> list[Resident]:
        return sorted((e for e in self._ledger.values() if e.present and not e.holds), key=lambda e: e.last_use)

    def _send_away(self, entry: Resident) -> None:
        if self.device.type == "cpu" or not entry.present:
            return
        if entry.streaming:
            entry.stream.stop()
        else:
            entry.module.to("cpu")
        entry.present = entry.streaming = False


def _takes(entry: Resident) -> int:
    """Bytes on the device."""
    return entry.stream.resident_bytes if entry.streaming and entry.stream is not None else entry.bytes
