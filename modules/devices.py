"""`modules.devices`: device and precision; really in atelier/device and modules/_host/devices.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType({
    "device": "modules._host.devices:view.device", "device_interrogate": "modules._host.devices:view.device",
    "device_gfpgan": "modules._host.devices:view.device", "device_esrgan": "modules._host.devices:view.device",
    "device_codeformer": "modules._host.devices:view.device", "dtype": "modules._host.devices:view.dtype",
    "dtype_unet": "modules._host.devices:view.dtype", "dtype_inference": "modules._host.devices:view.dtype",
    "dtype_vae": "modules._host.devices:view.dtype_vae", "cpu": "modules._host.devices:cpu",
    "torch_gc": "modules._host.devices:torch_gc", "autocast": "modules._host.devices:autocast",
    "without_autocast": "modules._host.devices:without_autocast",
    "cond_cast_unet": "modules._host.devices:cond_cast_unet",
    "cond_cast_float": "modules._host.devices:cond_cast_float",
    "NansException": "modules._host.devices:NansException", "test_for_nans": "modules._host.devices:test_for_nans",
    "get_optimal_device": "modules._host.devices:get_optimal_device",
    "get_optimal_device_name": "modules._host.devices:get_optimal_device_name",
    "get_cuda_device_string": "modules._host.devices:get_cuda_device_string",
    "get_device_for": "modules._host.devices:get_device_for", "has_mps": "modules._host.devices:has_mps",
    "has_xpu": "modules._host.devices:has_xpu", "unet_needs_upcast": "modules._host.shared_doors:no",
    "fp8": "modules._host.devices:view.fp8", "force_fp16": "modules._host.shared_doors:no",
})  # fmt: skip

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
