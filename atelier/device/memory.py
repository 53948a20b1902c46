"""What a device says about its memory: free bytes, the peak of a piece of work, and that it ran out."""

from __future__ import annotations

import ctypes
import gc
import sys
from typing import Protocol

import psutil
import torch


class Meter(Protocol):
    """Tells the most bytes that were allocated since `start`, beyond those that were allocated then."""

    def start(self) -> None: ...

    def peak(self) -> int: ...


class CudaMeter:
    """CUDA and ROCm. Starting it resets the peak that the allocator reports. Not measured on a device."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._before = 0

    def start(self) -> None:
        torch.cuda.reset_peak_memory_stats(self._device)
        self._before = torch.cuda.memory_allocated(self._device)

    def peak(self) -> int:
        return torch.cuda.max_memory_allocated(self._device) - self._before


def meter_for(device: torch.device) -> Meter | None:
    """None where the device cannot tell."""
    return CudaMeter(device) if device.type == "cuda" else None


def free_memory(device: torch.device) -> int:
    """Bytes that can still be allocated on the device. The CPU path was measured; the others were not."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if device.type == "xpu":
        free, _ = torch.xpu.mem_get_info(device)
        return free + torch.xpu.memory_reserved(device) - torch.xpu.memory_allocated(device)
    free = psutil.virtual_memory().available
    if device.type == "mps":
        # The GPU shares the machine's memory but may be given only a part of it.
        return min(free, torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return free


def empty_cache(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "xpu":
        torch.xpu.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def give_back() -> None:
    """What nobody holds any more goes back to the system. For moments at which much was let go, such as a closed model.

    Networks and what hangs on them point at each other, so that they wait for the collector. And glibc keeps what was
    freed in pieces below 32 MB: without this fifty changes of a checkpoint left half of its size on top.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def is_out_of_memory(error: BaseException) -> bool:
    """Devices say it in several ways; the CPU allocator raises a plain RuntimeError."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error).lower()
    return "out of memory" in text or "not enough memory" in text or "can't allocate memory" in text
