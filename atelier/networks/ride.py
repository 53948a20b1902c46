"""Riding: what networks change is added while a layer works, so that its strength may change from step to step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from atelier.device.memory import is_out_of_memory
from atelier.networks.bake import FIRST, UNFIT, Misfit, Use, fitted_delta, on, reason_of
from atelier.networks.forms import bias_delta, scale_of
from atelier.networks.keys import Target
from atelier.networks.lora import LORA, factors
from atelier.networks.patch import Patch


@dataclass(eq=False)
class Strength:
    """A multiplier that is read each time a layer works."""

    value: float = 1.0


@dataclass(eq=False)
class _Change:
    """What is added to a layer's outputs: `down` and `up`, or one whole `weight`, and perhaps a `bias`."""

    strength: Strength
    up: torch.Tensor | None = None  # [out, r]
    down: torch.Tensor | None = None  # as the layer's weight, with r outputs
    weight: torch.Tensor | None = None
    bias: torch.Tensor | None = None

    def add(self, module: nn.Module, x: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        if self.strength.value == 0:
            return output
        for name in ("up", "down", "weight", "bias"):
            tensor = getattr(self, name)
            if tensor is not None and (tensor.device, tensor.dtype) != (x.device, x.dtype):
                setattr(self, name, tensor.to(x.device, x.dtype))
        if self.up is not None:
            narrow = _work(module, x, self.down)
            up = self.up if isinstance(module, nn.Linear) else self.up[:, :, None, None]
            output = output + self.strength.value * (F.linear(narrow, up) if up.ndim == 2 else F.conv2d(narrow, up))
        elif self.weight is not None:
            output = output + self.strength.value * _work(module, x, self.weight)
        if self.bias is not None:
            bias = self.bias if isinstance(module, nn.Linear) else self.bias[:, None, None]
            output = output + self.strength.value * bias
        return output


def _work(module: nn.Module, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The layer with another weight and without bias, with its own stride and padding."""
    return F.linear(x, weight) if isinstance(module, nn.Linear) else module._conv_forward(x, weight, None)


def ride(target: Target, uses: Sequence[tuple[Use, Strength]], patch: Patch) -> list[Misfit]:
    """The layer's outputs are changed from now on, with the strengths of each moment times those of the uses.

    Entries that do not fit are left out and returned. What depends on the weight is calculated from the weight as it
    is now.
    """
    if not all(isinstance(module, (nn.Linear, nn.Conv2d)) for module in target.modules):
        reason = "only linear layers and convolutions can change their strength or be quantised."
        return [Misfit(use.network, target.name, reason) for use, _ in uses]
    rows = [module.weight.shape[0] for module in target.modules]
    wide = torch.cat([module.weight.data.float() for module in target.modules])
    changes: list[list[_Change]] = [[] for _ in target.modules]
    misfits = []
    for use, strength in uses:
        try:
            made = _changes(target, use, strength, wide, rows)
        except UNFIT as error:
            if is_out_of_memory(error):
                raise
            misfits.append(Misfit(use.network, target.name, reason_of(error)))
            continue
        for own, change in zip(changes, made):
            own.append(change)
    for module, own in zip(target.modules, changes):
        if own:
            patch.hook(module.register_forward_hook(_hook(own)))
    return misfits


def _hook(changes: list[_Change]) -> Callable[..., torch.Tensor]:
    def add(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        for change in changes:
            output = change.add(module, inputs[0], output)
        return output

    return add


def _changes(target: Target, use: Use, strength: Strength, wide: torch.Tensor, rows: list[int]) -> list[_Change]:
    """One for each module of the target, which share the rows."""
    parts = on(use.parts, wide.device, wide.dtype)
    bias = bias_delta(parts)
    biases = [None] * len(rows) if bias is None else (bias * use.strength).split(rows)
    pair = factors(parts, wide, use.dyn)
    if pair is not None:
        down = pair[1].reshape(-1, *wide.shape[1:])
        ups = (pair[0] * (use.strength * scale_of(LORA, parts))).split(rows)
        return [_Change(strength, up=up, down=down, bias=own) for up, own in zip(ups, biases)]
    delta = fitted_delta(parts, wide, use.dyn, target.name == FIRST)
    weights = [None] * len(rows) if delta is None else (delta * use.strength).split(rows)
    return [_Change(strength, weight=weight, bias=own) for weight, own in zip(weights, biases)]
