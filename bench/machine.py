"""What is measured on: processor, memory, versions, load; and how much memory this process took at most."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import diffusers
import psutil
import torch
import transformers

from atelier.base.version import PROGRAM_VERSION

if os.name != "nt":
    import resource


def describe() -> dict[str, Any]:
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": psutil.cpu_count(logical=False) or psutil.cpu_count(),
        "memory": psutil.virtual_memory().total,
        "load": load(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "diffusers": diffusers.__version__,
        "transformers": transformers.__version__,
        "atelier": PROGRAM_VERSION,
    }


def sentence(about: Mapping[str, Any]) -> str:
    return (
        f"{about['processor']}, {about['threads']} threads, load {about['load']} before and {about['load_after']} "
        f"after; torch {about['torch']}, diffusers {about['diffusers']}"
    )


def load() -> float:
    """How many programs wanted the processor over the last minute; above the number of cores times suffer."""
    return round(psutil.getloadavg()[0], 2)


def settle(device: torch.device) -> Callable[[], None]:
    """Waits until the device has done what it was given; a CPU works while it is asked."""
    kind = {"cuda": torch.cuda, "xpu": getattr(torch, "xpu", None), "mps": torch.mps}.get(device.type)
    return kind.synchronize if kind is not None else lambda: None


def resident() -> int:
    """Bytes that this process has in memory now."""
    return psutil.Process().memory_info().rss


def peak_resident() -> int:
    """The most bytes that this process has had in memory."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage: there a child begins with the peak of the process that started it.
        line = next(text for text in status.read_text().splitlines() if text.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    if os.name == "nt":
        return psutil.Process().memory_info().peak_wset
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [text for text in info.read_text().splitlines() if text.startswith("model name")]
        if names:
            return names[0].partition(":")[2].strip()
    return platform.processor() or platform.machine()
