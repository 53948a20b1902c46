"""A baked file: a checkpoint with networks calculated into its weights, written tensor by tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from atelier.base.errors import BadModelFile
from atelier.checkpoints.detect import modern_name
from atelier.checkpoints.header import ITEM_BYTES, TensorInfo
from atelier.checkpoints.reader import Weights, open_weights
from atelier.checkpoints.writer import FLOATS, Outgoing, write_safetensors
from atelier.networks.bake import FIRST, UNFIT, fitted_delta, on, reason_of
from atelier.networks.form import Parts
from atelier.networks.forms import bias_delta
from atelier.networks.keys import LayerMap, Target
from atelier.networks.network import Network
from atelier.networks.skeleton import Skeleton


@dataclass(frozen=True)
class Weighted:
    """A network with its strength in text encoders and in the denoiser."""

    network: Network
    text: float
    denoiser: float


@dataclass(frozen=True)
class _Change:
    """What one entry of a network does to some tensors, all of which lie in one tensor of the file."""

    target: Target
    parts: Parts
    strength: float
    places: tuple[TensorInfo, ...]
    shapes: tuple[tuple[int, ...], ...]
    bias: bool = False


@dataclass
class BakedFile:
    """Planned before a weight is read. `notes` are sentences for people."""

    skeleton: Skeleton
    changes: dict[str, list[_Change]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, weighted: Weighted, names: LayerMap) -> None:
        """Raises `BadModelFile` where nothing in the network belongs to the model."""
        missing = []
        for layer, parts in weighted.network.layers.items():
            target = names.find(layer)
            if target is None or not self._add(target, parts, weighted):
                missing.append(layer)
        name = weighted.network.file.path.name
        if missing and len(missing) == len(weighted.network.layers):
            raise BadModelFile(
                f"{name} does not fit {self.skeleton.file.name}: none of its layers is in this model.",
                remedy="Choose a LoRA that was trained for this kind of model.",
            )  # fmt: skip
        if missing:
            self.notes.append(f"{len(missing)} layers of {name} are not in this model, such as {missing[0]}.")

    def _add(self, target: Target, parts: Parts, weighted: Weighted) -> bool:
        strength = weighted.denoiser if target.component == "unet" else weighted.text
        found = False
        for leaf in ("weight", "bias"):
            placed = self.skeleton.places(target, leaf)
            if not placed or (leaf == "bias" and bias_delta(parts) is None):
                continue
            places = tuple(piece.info for piece in placed)
            keys = {self._holder(place) for place in places}
            if len(keys) == 1:
                shapes = tuple(piece.shape for piece in placed)
                change = _Change(target, parts, strength, places, shapes, leaf == "bias")
                self.changes.setdefault(keys.pop(), []).append(change)
                found = True
        return found

    def _holder(self, place: TensorInfo) -> str:
        """The tensor of the file in which a place lies."""
        tensors = self.skeleton.header.tensors
        known = {info.start: name for name, info in tensors.items()}
        if place.start in known:
            return known[place.start]
        return next(n for n, i in tensors.items() if i.start <= place.start < i.start + i.nbytes)

    def write(
        self, path: Path, type_of: Callable[[str, TensorInfo], str], metadata: Mapping[str, str],
        done: Callable[[int, int], Any],
    ) -> None:  # fmt: skip
        """`type_of(name, info)` is the type that a tensor of the file gets."""
        header = self.skeleton.header
        outgoing = [Outgoing(n, type_of(modern_name(n), info), info.shape) for n, info in header.tensors.items()]
        with open_weights(header.path) as weights, torch.no_grad():
            write_safetensors(path, outgoing, lambda out: self._made(out.name, weights), metadata, done)

    def _made(self, name: str, weights: Weights) -> torch.Tensor:
        info = self.skeleton.header.tensors[name]
        tensor = weights.read(info)
        changes = self.changes.get(name, ())
        if not changes or info.dtype not in FLOATS:
            return tensor
        wide = tensor.float().contiguous()
        flat = wide.reshape(-1)
        for change in changes:
            views = [_view(flat, info, place, shape) for place, shape in zip(change.places, change.shapes)]
            try:
                _apply(change, views)
            except UNFIT as error:
                self.notes.append(f"{change.target.name} was left out: {reason_of(error)}")
        return wide


def _view(flat: torch.Tensor, info: TensorInfo, place: TensorInfo, shape: tuple[int, ...]) -> torch.Tensor:
    """The part of a tensor of the file that is one tensor of a module; what is written into it is written there."""
    offset = (place.start - info.start) // ITEM_BYTES[info.dtype]
    if place.stride is None:
        return flat[offset : offset + place.count].view(shape)
    return flat.as_strided(place.shape, place.stride, offset)


def _apply(change: _Change, views: Sequence[torch.Tensor]) -> None:
    if change.bias:
        delta = bias_delta(on(change.parts, views[0].device, torch.float32))
    else:
        whole = views[0] if len(views) == 1 else torch.cat(list(views))
        parts = on(change.parts, whole.device, torch.float32)
        delta = fitted_delta(parts, whole.contiguous(), None, change.target.name == FIRST)
    if delta is None:
        return
    for view, part in zip(views, delta.split([v.shape[0] for v in views])):
        view.add_(part.reshape(view.shape), alpha=change.strength)
