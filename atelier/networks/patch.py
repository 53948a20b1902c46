"""Patch: a reversible change of a model's weights."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Any

import torch
from torch import nn

HOME = torch.device("cpu")


@dataclass(frozen=True)
class _Kept:
    """What a parameter was before. `original` is None where there was none; `inside` is True for a copy of it."""

    module: nn.Module
    name: str
    original: torch.Tensor | None
    inside: bool = False


class Patch:
    """Parameters get other values and modules get hooks; `restore`, or the end of the block, takes all of it back.

    Originals are kept, not recalculated, so every bit comes back. On the CPU they are the very tensors that were
    there; what a device held is kept in the machine's memory, to leave the device's to the pictures. A tensor that is
    part of a larger piece of memory (a block that is streamed) is written over in its place, and copied back.
    Modules may be moved while they are changed, but not between the start and the end of a stream.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[int, str], _Kept] = {}
        self._handles: list[Any] = []

    def put(self, module: nn.Module, name: str, value: torch.Tensor) -> None:
        """The parameter has this value from now on, in the type that it had. The tensor itself may be taken."""
        now = getattr(module, name, None)
        key = (id(module), name)
        if now is None:
            self._kept.setdefault(key, _Kept(module, name, None))
            setattr(module, name, nn.Parameter(value, requires_grad=False))
            return
        inside = _is_part(now.data)
        if key not in self._kept:
            original = now.data.to(HOME, copy=inside)
            self._kept[key] = _Kept(module, name, original, inside)
        if inside:
            now.data.copy_(value)
        else:
            now.data = value.to(now.device, now.dtype)

    def hook(self, handle: Any) -> None:
        """A forward hook that was registered; it is removed with the rest."""
        self._handles.append(handle)

    @property
    def size(self) -> int:
        """Bytes of the originals that are kept."""
        kept = (k.original for k in self._kept.values())
        return sum(t.numel() * t.element_size() for t in kept if t is not None)

    def restore(self) -> None:
        while self._handles:
            self._handles.pop().remove()
        while self._kept:
            _, kept = self._kept.popitem()
            if kept.original is None:
                setattr(kept.module, kept.name, None)
                continue
            now = getattr(kept.module, kept.name)
            if kept.inside:
                now.data.copy_(kept.original)
                continue
            # The type is the original's own unless the whole module was converted meanwhile.
            now.data = kept.original.to(now.device, now.dtype)

    def __enter__(self) -> Patch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.restore()


def _is_part(tensor: torch.Tensor) -> bool:
    """Whether other tensors may lie in the same piece of memory."""
    return tensor.untyped_storage().nbytes() > tensor.numel() * tensor.element_size()
