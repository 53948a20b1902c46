"""`modules.devices`: the device and the precisions that the engine chose."""

from __future__ import annotations

import gc
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from atelier.base.errors import NumericFailure
from atelier.device.choose import choose
from modules._host.attach import host


class NansException(NumericFailure):
    """The model gave NaN instead of a picture."""


cpu = torch.device("cpu")


class DeviceView:
    """What extensions read as attributes of the module; the engine's own choice once it is there."""

    def __init__(self) -> None:
        self._choice: Any = None

    @property
    def choice(self) -> Any:
        if self._choice is None:
            self._choice = choose(vars(host().cmd_opts))
        return self._choice

    @property
    def device(self) -> torch.device:
        return self.choice.device

    @property
    def dtype(self) -> torch.dtype:
        model = host().sd_model
        return model.unet_dtype if model is not None else self._named("denoiser_dtype")

    @property
    def dtype_vae(self) -> torch.dtype:
        model = host().sd_model
        return model.vae_dtype if model is not None else self._named("vae_dtype")

    @property
    def fp8(self) -> bool:
        """Whether the open model's matrices are stored in 8 bits."""
        services = host().services
        model = host().sd_model
        return model is not None and bool(services.library.storage_of(model))

    def _named(self, name: str) -> torch.dtype:
        return getattr(self.choice, name)


view = DeviceView()


def get_optimal_device() -> torch.device:
    return view.device


def get_optimal_device_name() -> str:
    return str(view.device)


def get_cuda_device_string() -> str:
    return str(view.device) if view.device.type == "cuda" else "cuda"


def get_device_for(task: str) -> torch.device:
    """The processor for tasks that `--use-cpu` names."""
    named = getattr(host().cmd_opts, "use_cpu", None) or ()
    return cpu if task in named or "all" in named else view.device


def has_mps() -> bool:
    return torch.backends.mps.is_available()


def has_xpu() -> bool:
    return hasattr(torch, "xpu") and torch.xpu.is_available()


def torch_gc() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def autocast(disable: bool = False) -> AbstractContextManager[Any]:
    if disable or view.dtype == torch.float32 or view.device.type == "cpu":
        return nullcontext()
    return torch.autocast(view.device.type, view.dtype)


def without_autocast(disable: bool = False) -> AbstractContextManager[Any]:
    kind = view.device.type
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) and not disable else nullcontext()


def cond_cast_unet(tensor: torch.Tensor) -> torch.Tensor:
    """To the precision of the network, where that differs from the tensor's."""
    return tensor.to(view.dtype) if tensor.dtype != view.dtype else tensor


def cond_cast_float(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.float()


def test_for_nans(x: torch.Tensor, where: str) -> None:
    """Raises `NansException` when nothing but NaN is there."""
    if not getattr(host().cmd_opts, "disable_nan_check", False) and bool(torch.isnan(x).all()):
        raise NansException(
            f"A tensor with all NaNs was produced in {where}.", remedy="Start with --no-half, or use another model."
        )
