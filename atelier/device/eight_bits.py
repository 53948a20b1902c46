"""EightBits: matrices of a network that are stored in 8 bits, and widened while their layer works."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from atelier.base.errors import BadRequest

#: component -> type of its matrices
Storage = Mapping[str, torch.dtype]

DISABLE, FOR_XL, ENABLE = "Disable", "Enable for SDXL", "Enable"
E4M3, E5M2 = torch.float8_e4m3fn, torch.float8_e5m2
DENOISER, TEXT = "unet", ("text_encoder", "text_encoder_2")
NOTHING: Storage = MappingProxyType({})
#: Forge's options: name -> (components, type)
OPTIONS = MappingProxyType({
    "unet_in_fp8_e4m3fn": ((DENOISER,), E4M3), "unet_in_fp8_e5m2": ((DENOISER,), E5M2),
    "clip_in_fp8_e4m3fn": (TEXT, E4M3), "clip_in_fp8_e5m2": (TEXT, E5M2),
})  # fmt: skip


def storage_asked(arguments: Mapping[str, Any]) -> Storage:
    """What the command line says, for every model."""
    given = [pair for name, pair in OPTIONS.items() if arguments.get(name)]
    return MappingProxyType({component: dtype for components, dtype in given for component in components})


def storage_for(setting: str, family: str, given: Storage) -> Storage:
    """For a model of a family: what the setting asks for, and what the command line does, which comes first."""
    wanted = setting == ENABLE or (setting == FOR_XL and family.startswith("sdxl"))
    return MappingProxyType({**(dict.fromkeys((DENOISER, *TEXT), E4M3) if wanted else {}), **given})


def store(components: Mapping[str, nn.Module], storage: Storage, device: torch.device) -> None:
    """Linear layers and convolutions keep 8 bits of each number; biases, norms and embeddings stay as they are.

    Widened they work in the type of what they are given, so that any device calculates with them that can convert.
    Raises `BadRequest` on a device that has no such type.
    """
    if storage and device.type == "mps":
        raise BadRequest(
            "settings.fp8_storage", "this device knows no numbers of 8 bits.", remedy="Set FP8 weight to Disable."
        )
    for name, dtype in storage.items():
        for layer in components[name].modules() if name in components else ():
            forward = _FORWARDS.get(type(layer))
            if forward is not None:
                layer.weight = nn.Parameter(layer.weight.data.to(dtype), requires_grad=False)
                # Of this layer only: its class, and whoever looks at that, stay as they are. Weakly, or nothing would
                # give the memory back at once when the model is closed.
                layer.forward = partial(forward, weakref.proxy(layer))


def _linear(layer: nn.Linear, x: torch.Tensor) -> torch.Tensor:
    return F.linear(x, layer.weight.to(x.dtype), layer.bias)


def _convolution(layer: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    return layer._conv_forward(x, layer.weight.to(x.dtype), layer.bias)


_FORWARDS: Mapping[type, Callable[..., torch.Tensor]] = MappingProxyType({
    nn.Linear: _linear, nn.Conv2d: _convolution,
})  # fmt: skip


def working_type(module: nn.Module) -> torch.dtype:
    """The precision that a network calculates in, however its matrices are stored."""
    return next((p.dtype for p in module.parameters() if p.is_floating_point() and p.itemsize > 1), torch.float32)
