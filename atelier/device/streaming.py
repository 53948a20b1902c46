"""Stream: the blocks of a network come to a small device just before they work, and leave it after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn

from atelier.base.log import fields, logger
from atelier.device.memory import is_out_of_memory

log = logger(__name__)

#: the largest block that travels as one, where it can be divided
UNIT_BYTES = 64 << 20
#: modules this much smaller than a block stay on the device: to fetch them would cost more than the room they take
CRUMB = 64
#: each tensor begins at a multiple of this in a block's bytes, so that it can be read as any type
ALIGNMENT = 256
#: one slot for the block at work, one for the block that comes next
SLOTS = 2


class Mover(Protocol):
    """Memory on both sides and copies between them. Marks are points in the order of the device's work."""

    def host(self, size: int) -> torch.Tensor:
        """Bytes in the machine's memory, [size], uint8."""

    def slot(self, size: int) -> torch.Tensor:
        """Bytes on the device, [size], uint8."""

    def copy(self, source: torch.Tensor, target: torch.Tensor, after: Any) -> Any:
        """Begins a copy to the device that waits for the mark `after`; returns the mark of its end."""

    def wait(self, mark: Any) -> None:
        """What is calculated from now on waits for the mark."""

    def mark(self) -> Any:
        """The end of everything that was asked to be calculated so far."""


class PlainMover:
    """For devices without a second stream of work: each copy is done before the calculation goes on."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def host(self, size: int) -> torch.Tensor:
        return torch.empty(size, dtype=torch.uint8)

    def slot(self, size: int) -> torch.Tensor:
        return torch.empty(size, dtype=torch.uint8, device=self.device)

    def copy(self, source: torch.Tensor, target: torch.Tensor, after: Any) -> None:
        target.copy_(source)

    def wait(self, mark: Any) -> None:
        """Copies are done when `copy` returns."""

    def mark(self) -> None:
        return None


class CudaMover:
    """CUDA and ROCm: pinned memory and a stream of its own, so that copies run beside the calculation. Not measured."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._stream = torch.cuda.Stream(device)
        self._pin = True

    def host(self, size: int) -> torch.Tensor:
        if self._pin:
            try:
                return torch.empty(size, dtype=torch.uint8, pin_memory=True)
            except RuntimeError as error:
                # Systems limit how much may be pinned; copies from ordinary memory are right too, only slower.
                self._pin = False
                log.warning("memory cannot be pinned: %s", fields(bytes=size, reason=str(error).splitlines()[0]))
        return torch.empty(size, dtype=torch.uint8)

    def slot(self, size: int) -> torch.Tensor:
        return torch.empty(size, dtype=torch.uint8, device=self.device)

    def copy(self, source: torch.Tensor, target: torch.Tensor, after: Any) -> torch.cuda.Event:
        self._stream.wait_event(after)
        with torch.cuda.stream(self._stream):
            target.copy_(source, non_blocking=True)
            return self._stream.record_event()

    def wait(self, mark: torch.cuda.Event) -> None:
        torch.cuda.current_stream(self.device).wait_event(mark)

    def mark(self) -> torch.cuda.Event:
        return torch.cuda.current_stream(self.device).record_event()


def mover_for(device: torch.device) -> Mover:
    return CudaMover(device) if device.type == "cuda" else PlainMover(device)


class Block:
    """One module that travels as a whole. Its weights lie in one piece of memory, so that one copy brings them all."""

    def __init__(self, module: nn.Module, tensors: list[torch.Tensor], mover: Mover) -> None:
        self.module = module
        self._tensors = tensors
        self._offsets = list(_offsets(tensors))
        self.bytes = self._offsets.pop()
        self.host = mover.host(self.bytes)
        # A copy of each, not a move: the file's pages behind the old tensors are let go when `data` is replaced.
        self._at_home = list(self._views(self.host))
        for own, home in zip(tensors, self._at_home, strict=True):
            home.copy_(own.data)
        self.send_home()

    def _views(self, buffer: torch.Tensor) -> Iterator[torch.Tensor]:
        for tensor, start in zip(self._tensors, self._offsets, strict=True):
            flat = buffer[start : start + tensor.numel() * tensor.element_size()].view(tensor.dtype)
            yield flat.as_strided(tensor.shape, _strides(tensor), flat.storage_offset())

    @property
    def intact(self) -> bool:
        """False when something else has moved the weights or changed their type."""
        pairs = zip(self._tensors, self._at_home, strict=True)
        return all(own.data_ptr() == home.data_ptr() and own.dtype == home.dtype for own, home in pairs)

    def bring(self, slot: torch.Tensor) -> None:
        """The module works with the weights in the slot, which must hold a copy of `host`."""
        for own, there in zip(self._tensors, self._views(slot), strict=True):
            own.data = there

    def send_home(self) -> None:
        for own, home in zip(self._tensors, self._at_home, strict=True):
            own.data = home


@dataclass(eq=False)
class Slot:
    """Memory on the device for one block. `copied` and `used` are the marks of its last copy and its last use."""

    memory: torch.Tensor
    block: Block | None = None
    copied: Any = None
    used: Any = None


class Stream:
    """Streams one network through forward hooks. `start` hooks it up, `stop` leaves it whole in the machine's memory.

    It can start again, and finds weights that were changed at rest. Between `start` and `stop` they must not be
    changed: what is changed in a slot is lost. The order of the blocks is learnt from each pass, and while one works
    the next one travels. The calculation is the same, number for number.
    """

    def __init__(
        self, module: nn.Module, device: torch.device, mover: Mover | None = None, unit_bytes: int = UNIT_BYTES
    ) -> None:
        self.module = module
        self.device = device
        self._mover = mover or mover_for(device)
        self._groups = blocks_of(module, unit_bytes)
        self._blocks: list[Block] = []
        self._next: dict[int, Block] = {}
        self._slots: list[Slot] = []
        self._hooks: list[Any] = []
        self._at_work: Slot | None = None
        self._last: Block | None = None

    @property
    def resident_bytes(self) -> int:
        """Bytes on the device while the stream runs: the slots, and what belongs to no block."""
        streamed = {id(t) for _, tensors in self._groups for t in tensors}
        rest = _size([t for t in _tensors(self.module) if id(t) not in streamed])
        return rest + SLOTS * max((list(_offsets(tensors))[-1] for _, tensors in self._groups), default=0)

    def start(self) -> None:
        """Raises the device's out-of-memory error, with the module as it was, when not even this has room."""
        try:
            self._start()
        except (RuntimeError, MemoryError) as error:
            self.stop()
            if is_out_of_memory(error):
                log.warning("no room to stream: %s", fields(bytes=self.resident_bytes))
            raise

    def _start(self) -> None:
        with torch.no_grad():
            if not self._blocks or not all(block.intact for block in self._blocks):
                self._blocks.clear()
                self._next.clear()
                self._blocks += (Block(m, tensors, self._mover) for m, tensors in self._groups)
            streamed = {id(t) for _, tensors in self._groups for t in tensors}
            for tensor in _tensors(self.module):
                if id(tensor) not in streamed:
                    tensor.data = tensor.data.to(self.device)
            size = max(block.bytes for block in self._blocks)
            for _ in range(SLOTS):
                memory = self._mover.slot(size)
                self._slots.append(Slot(memory, used=self._mover.mark()))
        for index, block in enumerate(self._blocks):
            self._next.setdefault(id(block), self._blocks[(index + 1) % len(self._blocks)])
            self._hooks += [
                block.module.register_forward_pre_hook(lambda module, inputs, b=block: self._enter(b)),
                block.module.register_forward_hook(lambda module, inputs, output: self._leave(), always_call=True),
            ]
        log.debug("stream started: %s", fields(blocks=len(self._blocks), bytes=self.resident_bytes))

    def stop(self) -> None:
        """Everything is in the machine's memory again and the device's is free."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        self._leave()
        for slot in self._slots:
            if slot.block is not None:
                # A copy may still run into memory that is about to be given to others.
                self._mover.wait(slot.copied)
        self._slots.clear()
        self._last = None
        with torch.no_grad():
            for tensor in _tensors(self.module):
                tensor.data = tensor.data.to("cpu")

    def _enter(self, block: Block) -> None:
        """Before a block works: its weights are in a slot, and the next block begins to travel to the other one."""
        self._leave()  # a block that was torn away by something harder than an exception never left
        if self._last is not None:
            self._next[id(self._last)] = block
        self._last = block
        slot = self._slot_with(block) or self._load(block)
        self._mover.wait(slot.copied)
        with torch.no_grad():
            block.bring(slot.memory)
        self._at_work = slot
        coming = self._next[id(block)]
        if coming is not block and self._slot_with(coming) is None:
            self._load(coming, avoid=slot)

    def _leave(self) -> None:
        slot, self._at_work = self._at_work, None
        if slot is not None:
            slot.used = self._mover.mark()
            with torch.no_grad():
                slot.block.send_home()

    def _slot_with(self, block: Block) -> Slot | None:
        return next((slot for slot in self._slots if slot.block is block), None)

    def _load(self, block: Block, avoid: Slot | None = None) -> Slot:
        slot = next(slot for slot in self._slots if slot is not avoid)
        slot.copied = self._mover.copy(block.host, slot.memory[: block.bytes], slot.used)
        slot.block = block
        return slot


def blocks_of(module: nn.Module, unit_bytes: int = UNIT_BYTES) -> list[tuple[nn.Module, list[torch.Tensor]]]:
    """The modules that can travel, in the order in which they stand, each with its tensors.

    Lists of modules are what large networks repeat; what stands outside of any list, such as a network's first and
    last layers, stays on the device, and so do very small ones and a tensor that two modules share.
    """
    found: list[nn.Module] = []

    def walk(part: nn.Module, listed: bool) -> None:
        if listed and not isinstance(part, nn.ModuleList):
            size = _size(_tensors(part))
            if size and (size <= unit_bytes or not list(part.children())):
                if part not in found:
                    found.append(part)
                return
        for child in part.children():
            walk(child, listed or isinstance(part, nn.ModuleList))

    walk(module, False)
    direct = ((*m.parameters(recurse=False), *m.buffers(recurse=False)) for m in module.modules())
    owners = Counter(id(t) for tensors in direct for t in tensors)
    groups = [(part, [t for t in _tensors(part) if owners[id(t)] == 1]) for part in found]
    return [(part, tensors) for part, tensors in groups if _size(tensors) * CRUMB > unit_bytes]


def _tensors(module: nn.Module) -> list[torch.Tensor]:
    return [*module.parameters(), *module.buffers()]


def _size(tensors: list[torch.Tensor]) -> int:
    return sum(t.numel() * t.element_size() for t in tensors)


def _strides(tensor: torch.Tensor) -> tuple[int, ...]:
    """The tensor's own order in memory (channels last, say), where it has no gaps; else the plain one."""
    dense = tensor.is_contiguous() or (tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last))
    return tensor.stride() if dense else torch.empty(tensor.shape, device="meta").stride()


def _offsets(tensors: list[torch.Tensor]) -> Iterator[int]:
    """Where each tensor begins, then where the last one ends."""
    position = 0
    for tensor in tensors:
        yield position
        position += -(-tensor.numel() * tensor.element_size() // ALIGNMENT) * ALIGNMENT
    yield position
