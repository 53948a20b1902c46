"""Empty modules made full: which tensor of a file goes where, checked by shape, then read straight into place."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from atelier.base.errors import BadModelFile
from atelier.checkpoints.header import TensorInfo
from atelier.checkpoints.reader import Weights
from atelier.families.family import Component, Cut

#: names that AutoencoderKL gave to its attention before 2023
OLD_VAE_NAMES = ((".to_q.", ".query."), (".to_k.", ".key."), (".to_v.", ".value."), (".to_out.0.", ".proj_attn."))


@dataclass(frozen=True)
class Source:
    """A file and its tensors by name."""

    path: Path
    tensors: Mapping[str, TensorInfo]


@dataclass(frozen=True)
class Piece:
    """Where a tensor of a module is in the file, and the shape it has in the module."""

    info: TensorInfo
    shape: tuple[int, ...]


def build_empty(component: Component, path: Path) -> nn.Module:
    """The module on the meta device: shapes without memory. Raises `BadModelFile` for sizes that do not fit."""
    try:
        with torch.device("meta"):
            return component.build()
    except (ValueError, TypeError, ZeroDivisionError, RuntimeError) as error:
        raise BadModelFile(
            f"The configuration of {path.name} does not describe a {component.name}: {error}", path=str(path)
        ) from error


def match_tensors(module: nn.Module, component: Component, source: Source) -> dict[str, Piece]:
    """Every tensor of the module with its place in the file. Raises `BadModelFile` naming what is missing."""
    shapes = {name: tuple(tensor.shape) for name, tensor in _state(module).items()}
    prefix = next((p for p in component.prefixes if p and any(k.startswith(p) for k in source.tensors)), "")
    if prefix not in component.prefixes:
        prefix = component.prefixes[0]
    layouts = [
        {ours: place if isinstance(place, Cut) else Cut(place) for ours, place in layout.items()}
        for layout in (component.names(shapes), {n: n for n in shapes}, {n: _old_name(n) for n in shapes})
    ]
    places = max(layouts, key=lambda layout: sum(prefix + cut.name in source.tensors for cut in layout.values()))
    wanted, missing, unfit = {}, [], []
    for ours, cut in places.items():
        theirs = prefix + cut.name
        info = source.tensors.get(theirs)
        found = None if info is None else _cut(info, cut)
        if info is None:
            missing.append(theirs)
        elif found is None or not _fits(found.shape, shapes[ours]):
            whole = (shapes[ours][0] * cut.of, *shapes[ours][1:])
            unfit.append(f"{theirs} is {list(info.shape)}, not {list(whole[::-1] if cut.turned else whole)}")
        else:
            wanted[ours] = Piece(found, shapes[ours])
    if missing or unfit:
        _refuse(component, source.path, missing, unfit)
    return wanted


def _cut(info: TensorInfo, cut: Cut) -> TensorInfo | None:
    found = info.rows(cut.part, cut.of) if cut.of > 1 else info
    return found.turned() if cut.turned and found is not None else found


def _state(module: nn.Module) -> dict[str, torch.Tensor]:
    # Older transformers keep the numbers of the positions in the state; they are made, not read.
    return {k: v for k, v in module.state_dict().items() if not k.endswith("position_ids")}


def _old_name(name: str) -> str:
    for new, old in OLD_VAE_NAMES:
        name = name.replace(new, old)
    return name


def _fits(stored: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Equal, or equal but for sides of length 1 at the end: a 1x1 convolution is a linear layer."""
    return stored == wanted or (
        math.prod(stored) == math.prod(wanted) and [n for n in stored if n != 1] == [n for n in wanted if n != 1]
    )


def _refuse(component: Component, path: Path, missing: list[str], unfit: list[str]) -> None:
    what = f"lacks {len(missing)} tensors of its {component.name}, such as {missing[0]}" if missing else unfit[0]
    raise BadModelFile(
        f"{path.name} cannot be used: it {what}." if missing else f"{path.name} cannot be used: {what}.",
        remedy="The file is incomplete, or needs another configuration (.yaml) beside it.",
        path=str(path),
        missing=missing[:20],
        unfit=unfit[:20],
    )


def fill(
    module: nn.Module, wanted: Mapping[str, Piece], weights: Weights, device: torch.device, dtype: torch.dtype
) -> nn.Module:
    """Puts the weights in, one tensor at a time, so that at no moment there are two copies of the model."""
    for name, piece in sorted(wanted.items(), key=lambda item: item[1].info.start):
        tensor = weights.read(piece.info, dtype, device).reshape(piece.shape)
        parent, _, leaf = name.rpartition(".")
        setattr(module.get_submodule(parent), leaf, nn.Parameter(tensor, requires_grad=False))
    for name, buffer in list(module.named_buffers()):
        if buffer.is_meta:
            _make_buffer(module, name, buffer, device)
    return module.eval()


def _make_buffer(module: nn.Module, name: str, buffer: torch.Tensor, device: torch.device) -> None:
    parent, _, leaf = name.rpartition(".")
    if leaf != "position_ids":
        raise BadModelFile(f"No weights and no rule are known for the buffer {name}.")
    numbers = torch.arange(buffer.shape[-1], device=device).expand(buffer.shape)
    module.get_submodule(parent).register_buffer(leaf, numbers, persistent=False)
