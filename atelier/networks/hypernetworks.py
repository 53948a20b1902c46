"""Hypernetworks: small networks in front of the keys and values of every attention layer of a denoiser."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from atelier.base.errors import BadModelFile
from atelier.checkpoints.reader import read_object
from atelier.networks.bake import Misfit
from atelier.networks.patch import Patch

#: by the names that the files use
ACTIVATIONS = MappingProxyType({
    "linear": nn.Identity, "relu": nn.ReLU, "leakyrelu": nn.LeakyReLU, "elu": nn.ELU, "swish": nn.Hardswish,
    "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "hardswish": nn.Hardswish, "silu": nn.SiLU, "gelu": nn.GELU,
    "mish": nn.Mish, "selu": nn.SELU, "celu": nn.CELU, "relu6": nn.ReLU6, "softplus": nn.Softplus,
    "softsign": nn.Softsign, "logsigmoid": nn.LogSigmoid, "hardtanh": nn.Hardtanh, "hardsigmoid": nn.Hardsigmoid,
    "tanhshrink": nn.Tanhshrink, "softshrink": nn.Softshrink, "hardshrink": nn.Hardshrink,
})  # fmt: skip
#: linear.0.weight; in the oldest files linear1.weight
_NAME = re.compile(r"linear\.?(\d+)\.(weight|bias)")


@dataclass(frozen=True)
class Hypernetwork:
    """`pairs` by width of what is attended to: one network for keys, one for values."""

    name: str
    pairs: Mapping[int, tuple[nn.Module, nn.Module]]


def read_hypernetwork(path: Path, name: str, allow_pickle: bool = False) -> Hypernetwork:
    """Raises `BadModelFile` when the file holds no hypernetwork, `ForbiddenPickle` for pickles that may not be read."""
    value = read_object(path, allow_pickle)
    widths = {key: pair for key, pair in value.items() if isinstance(key, int)} if isinstance(value, dict) else {}
    if not widths:
        raise BadModelFile(f"{path.name} is not a hypernetwork.", path=str(path))
    pairs = {}
    for width, pair in widths.items():
        if not isinstance(pair, (list, tuple)) or len(pair) < 2:
            raise BadModelFile(f"{path.name} is damaged: the networks for width {width} are missing.", path=str(path))
        pairs[width] = tuple(_network(path, value, width, state) for state in pair[:2])
    return Hypernetwork(name, MappingProxyType(pairs))


def _network(path: Path, about: Mapping[Any, Any], width: int, state: Mapping[str, torch.Tensor]) -> nn.Module:
    """Linear layers in the order of their numbers, each with its activation and then its norm, if there is one.

    The tensors tell which modules there are, so that what does nothing here (dropout) need not be counted.
    """
    name = str(about.get("activation_func") or "linear").lower()
    if name not in ACTIVATIONS:
        raise BadModelFile(f"{path.name} uses the activation {name!r}, which is not known here.", path=str(path))
    modules: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in state.items():
        found = _NAME.fullmatch(key)
        if found is None:
            raise BadModelFile(f"{path.name} has a tensor {key!r}, which no hypernetwork has.", path=str(path))
        modules.setdefault(int(found[1]), {})[found[2]] = tensor.float()
    linear = [n for n in sorted(modules) if modules[n]["weight"].ndim == 2]
    layers: list[nn.Module] = []
    try:
        for number in sorted(modules):
            weight, bias = modules[number]["weight"], modules[number]["bias"]
            if weight.ndim == 2:
                layers.append(_filled(nn.Linear(weight.shape[1], weight.shape[0]), weight, bias))
                if number != linear[-1] or about.get("activate_output", True):
                    layers.append(ACTIVATIONS[name]())
            else:
                layers.append(_filled(nn.LayerNorm(weight.shape[0]), weight, bias))
        network = nn.Sequential(*layers)
        network(torch.zeros(1, width))
    except (RuntimeError, KeyError, IndexError) as error:
        raise BadModelFile(
            f"{path.name} is damaged: its networks for width {width} do not fit.", path=str(path)
        ) from error
    return network.eval().requires_grad_(False)


def _filled(module: nn.Module, weight: torch.Tensor, bias: torch.Tensor) -> nn.Module:
    module.load_state_dict({"weight": weight, "bias": bias})
    return module


def attach(denoiser: nn.Module, networks: Sequence[tuple[Hypernetwork, float]], patch: Patch) -> list[Misfit]:
    """Keys are made of c + m net(c) instead of c, values likewise; several networks follow each other.

    Hooks stand before the projections, so whatever kernel attends sees the change.
    """
    for side in (0, 1):
        for layer in key_layers(denoiser, ("to_k", "to_v")[side]):
            width = layer.in_features
            used = [(network.pairs[width][side], strength) for network, strength in networks if width in network.pairs]
            if used:
                patch.hook(layer.register_forward_pre_hook(_before(used)))
    return []


def key_layers(denoiser: nn.Module, name: str = "to_k") -> list[nn.Linear]:
    """The layers of that name in every attention of a denoiser."""
    found = (getattr(module, name, None) for module in denoiser.modules())
    return [layer for layer in found if isinstance(layer, nn.Linear)]


def _before(used: Sequence[tuple[nn.Module, float]]) -> Callable[..., Any]:
    def change(layer: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        context = inputs[0]
        for network, strength in used:
            first = next(network.parameters())
            if (first.device, first.dtype) != (context.device, context.dtype):
                network.to(context.device, context.dtype)
            context = context + strength * network(context)
        return (context, *inputs[1:])

    return change
