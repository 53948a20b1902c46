"""DeviceChoice: which device and which precision, decided once, with the reason in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class DeviceChoice:
    """`reason` is one line for people. Precisions are those of the denoiser, the text encoder and the VAE."""

    device: torch.device
    name: str
    denoiser_dtype: torch.dtype
    text_dtype: torch.dtype
    vae_dtype: torch.dtype
    reason: str

    @property
    def precision(self) -> str:
        return str(self.denoiser_dtype).removeprefix("torch.")


def choose(arguments: Mapping[str, Any]) -> DeviceChoice:
    """Looks at what torch can reach: CUDA and ROCm, XPU, MPS, else the CPU. Only the CPU path was measured.

    `arguments` are the command line's: use_cpu, device_id, no_half, no_half_vae, precision.
    """
    device, name, why = _device(arguments)
    half = _half(device)
    if arguments.get("no_half") or arguments.get("precision") == "full":
        half, why = torch.float32, f"{why}; full precision was asked for"
    elif device.type == "cpu":
        # Half precision on a CPU changes pictures and only pays where bfloat16 instructions exist: on request only.
        half = torch.bfloat16 if arguments.get("precision") == "half" else torch.float32
    vae = torch.float32 if arguments.get("no_half_vae") or device.type in ("cpu", "mps") else half
    precision = str(half).removeprefix("torch.")
    return DeviceChoice(device, name, half, half, vae, f"{name} ({device}) in {precision}: {why}")


def _device(arguments: Mapping[str, Any]) -> tuple[torch.device, str, str]:
    index = arguments.get("device_id")
    if "all" in (arguments.get("use_cpu") or ()):
        return torch.device("cpu"), _cpu_name(), "--use-cpu all was given"
    if torch.cuda.is_available():
        device = torch.device("cuda", int(index or 0))
        kind = "ROCm" if getattr(torch.version, "hip", None) else "CUDA"
        return device, torch.cuda.get_device_name(device), f"{kind} is available"
    if hasattr(torch, "xpu") and torch.xpu.is_available():
        device = torch.device("xpu", int(index or 0))
        return device, torch.xpu.get_device_name(device), "an Intel GPU is available"
    if torch.backends.mps.is_available():
        return torch.device("mps"), "Apple GPU", "Metal is available"
    return torch.device("cpu"), _cpu_name(), "no usable GPU was found"


def _half(device: torch.device) -> torch.dtype:
    if device.type == "cuda" and torch.cuda.get_device_capability(device) < (5, 3):
        return torch.float32  # older chips have no usable float16
    return torch.float16


def _cpu_name() -> str:
    return f"CPU, {torch.get_num_threads()} threads"
