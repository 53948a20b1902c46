"""Counts the bytes of all tensors that are alive, on any device, the meta device included."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _Fused(TorchFunctionMode):
    """Attention as one kernel that keeps no scores."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is F.scaled_dot_product_attention:
            return torch.empty_like(args[0])
        return function(*args, **(kwargs or {}))


class _Alive(TorchDispatchMode):
    def __init__(self, known: Iterable[torch.Tensor]) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._seen = {t.untyped_storage()._cdata: 0 for t in known}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for value in tree_leaves(out):
            if isinstance(value, torch.Tensor):
                self._add(value.untyped_storage())
        return out

    def _add(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key not in self._seen:
            self._seen[key] = storage.nbytes()
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._drop, key)

    def _drop(self, key: int) -> None:
        self.now -= self._seen.pop(key, 0)


def peak_of(module: nn.Module, work: Callable[[], Any], fused: bool = True) -> int:
    """The most bytes alive at once while `work` runs, without the weights of the module."""
    alive = _Alive(module.parameters())
    with torch.no_grad(), ExitStack() as modes:
        modes.enter_context(alive)
        if fused:
            modes.enter_context(_Fused())
        kept = work()
    del kept
    return alive.peak
