"""Baking: what networks change is calculated into the weights, in float32, and kept reversible by a patch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from atelier.base.errors import BadModelFile
from atelier.device.memory import is_out_of_memory
from atelier.networks.form import Parts
from atelier.networks.forms import bias_delta, scale_of, weight_delta
from atelier.networks.keys import Target
from atelier.networks.lora import LORA, factors
from atelier.networks.patch import Patch

#: what a weight can be baked into; others, such as 8 bits, would lose the change by rounding
BAKED = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
HALF = (torch.float16, torch.bfloat16)
#: numbers of a weight that are changed at once on the CPU, 4 MiB of float32
BLOCK = 1 << 20
#: channels of latents; models that take a mask or a depth beside them have a wider first layer
LATENT_CHANNELS = 4
FIRST = "conv_in"
#: what tensors that do not fit each other can raise
UNFIT = (BadModelFile, RuntimeError, ValueError, IndexError, KeyError, TypeError)


@dataclass(frozen=True)
class Use:
    """One file's entry for a layer, at a strength. `network` is the name that the prompt gives it."""

    network: str
    parts: Parts
    strength: float
    dyn: int | None = None


@dataclass(frozen=True)
class Misfit:
    """An entry that was left out, and why."""

    network: str
    layer: str
    reason: str


class Scratch:
    """Room for a weight in float32, used again for the next one: fresh memory costs more than the calculation."""

    def __init__(self) -> None:
        self._buffer: torch.Tensor | None = None

    def wide(self, weight: torch.Tensor) -> torch.Tensor:
        """A copy in float32, good until the next call; the weight itself where it is as wide as that already."""
        if weight.dtype in (torch.float32, torch.float64):
            return weight
        if self._buffer is None or self._buffer.numel() < weight.numel() or self._buffer.device != weight.device:
            self._buffer = torch.empty(weight.numel(), dtype=torch.float32, device=weight.device)
        return self._buffer[: weight.numel()].view(weight.shape).copy_(weight)


def bake(target: Target, uses: Sequence[Use], patch: Patch, scratch: Scratch | None = None) -> list[Misfit]:
    """The layer has the changed weight and bias from now on; entries that do not fit are left out and returned.

    What the layer carries already stays: another entry may be for one of several layers that this one is for.
    Low-rank changes that follow each other are added in one product. Others depend on the weight, so they see what
    came before them, in the order of the prompt.
    """
    whole = [module.weight.data for module in target.modules]
    weight = whole[0] if len(whole) == 1 else torch.cat(whole)
    dtype = torch.promote_types(weight.dtype, torch.float32)
    ready = [(use, on(use.parts, weight.device, dtype)) for use in uses]
    changed, misfits = merged(weight, ready, target.name == FIRST, scratch or Scratch())
    if changed is not None:
        if weight.ndim == 4 and weight.is_contiguous(memory_format=torch.channels_last):
            changed = changed.contiguous(memory_format=torch.channels_last)
        for module, part in zip(target.modules, changed.split([w.shape[0] for w in whole])):
            patch.put(module, "weight", part)
    bad = {misfit.network for misfit in misfits}
    fitting = [(use, parts) for use, parts in ready if use.network not in bad]
    return [*(Misfit(m.network, target.name, m.reason) for m in misfits), *_bake_bias(target, fitting, patch)]


def merged(
    weight: torch.Tensor, uses: Sequence[tuple[Use, Parts]], first: bool, scratch: Scratch
) -> tuple[torch.Tensor | None, list[Misfit]]:
    """The weight with all changes added, and what did not fit; None where nothing changes it."""
    narrow: list[tuple[torch.Tensor, torch.Tensor]] = []
    misfits: list[Misfit] = []
    wide = result = None
    for use, parts in uses:
        try:
            pair = factors(parts, weight, use.dyn)
            if pair is not None:
                narrow.append((pair[0] * (use.strength * scale_of(LORA, parts)), pair[1]))
                continue
            wide = scratch.wide(weight) if wide is None else wide
            if narrow:
                wide = result = _with_narrow(wide, narrow, wide is not weight)
            delta = fitted_delta(parts, wide, use.dyn, first)
        except UNFIT as error:
            if is_out_of_memory(error):
                raise
            misfits.append(Misfit(use.network, "", reason_of(error)))
            continue
        if delta is not None:
            wide = result = (
                wide.add(delta, alpha=use.strength) if wide is weight else wide.add_(delta, alpha=use.strength)
            )
    if not narrow:
        return result, misfits
    if wide is None and weight.device.type == "cpu" and weight.dtype in HALF:
        return _in_blocks(weight, narrow, scratch), misfits
    wide = scratch.wide(weight) if wide is None else wide
    return _with_narrow(wide, narrow, wide is not weight), misfits


def _with_narrow(wide: torch.Tensor, narrow: list[tuple[torch.Tensor, torch.Tensor]], mine: bool) -> torch.Tensor:
    """The weight with the waiting low-rank changes, which wait no longer. With `mine` it may be written over."""
    up, down = _joined(narrow)
    narrow.clear()
    rows = wide.flatten(1)
    return (rows.addmm_(up, down) if mine else rows.addmm(up, down)).view(wide.shape)


def _in_blocks(weight: torch.Tensor, narrow: list[tuple[torch.Tensor, torch.Tensor]], scratch: Scratch) -> torch.Tensor:
    """The same for halves on the CPU: a few rows at a time, so that their float32 copy stays in the cache."""
    up, down = _joined(narrow)
    rows = weight.flatten(1)
    out = torch.empty_like(rows)
    step = max(1, BLOCK // rows.shape[1])
    for start in range(0, rows.shape[0], step):
        part = slice(start, start + step)
        out[part] = scratch.wide(rows[part]).addmm_(up[part], down)
    return out.view(weight.shape)


def _joined(narrow: list[tuple[torch.Tensor, torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Several low-rank changes as one of the sum of their ranks."""
    if len(narrow) == 1:
        return narrow[0]
    return torch.cat([up for up, _ in narrow], dim=1), torch.cat([down for _, down in narrow])


def fitted_delta(parts: Parts, wide: torch.Tensor, dyn: int | None, first: bool) -> torch.Tensor | None:
    """As `weight_delta`. A change for 4 channels fits a wider first layer: what it adds to the others is zero."""
    if not first or wide.ndim != 4 or wide.shape[1] <= LATENT_CHANNELS:
        return weight_delta(parts, wide, dyn)
    try:
        return weight_delta(parts, wide, dyn)
    except UNFIT as error:
        if is_out_of_memory(error):
            raise
        delta = weight_delta(parts, wide[:, :LATENT_CHANNELS], dyn)
    return None if delta is None else F.pad(delta, (0, 0, 0, 0, 0, wide.shape[1] - LATENT_CHANNELS))


def on(parts: Parts, device: torch.device, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """The tensors where they are calculated with, and in which type; numbers stay as they are."""
    return {name: part if part.ndim == 0 else part.to(device, dtype) for name, part in parts.items()}


def reason_of(error: BaseException) -> str:
    if isinstance(error, BadModelFile):
        return error.message
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _bake_bias(target: Target, uses: Sequence[tuple[Use, Parts]], patch: Patch) -> list[Misfit]:
    added = [(use, bias_delta(parts)) for use, parts in uses]
    added = [(use, delta) for use, delta in added if delta is not None]
    if not added:
        return []
    rows = [module.weight.shape[0] for module in target.modules]
    fitting = [(use, delta) for use, delta in added if delta.numel() == sum(rows)]
    for index, module in enumerate(target.modules):
        old = module.bias
        wide = torch.zeros(rows[index], device=module.weight.device) if old is None else old.float()
        for use, delta in fitting:
            wide = torch.add(wide, delta.to(wide).split(rows)[index], alpha=use.strength)
        patch.put(module, "bias", wide if old is not None else wide.to(module.weight.dtype))
    kept = {id(use) for use, _ in fitting}
    return [Misfit(use.network, target.name, "its bias has another size.") for use, _ in added if id(use) not in kept]
