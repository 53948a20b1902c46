"""Extraction: what a tuned checkpoint has over its original, as a LoRA (after kohya's sd-scripts, Apache-2.0)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from atelier.base.errors import BadModelFile, BadRequest
from atelier.checkpoints.reader import Weights, open_weights
from atelier.networks.form import flat
from atelier.networks.lowrank import RankRule, narrow_matrix
from atelier.networks.plain import Layer, layer_of
from atelier.networks.skeleton import Skeleton

#: parts of a denoiser whose layers a LoRA usually changes, and those that it changes when convolutions are asked for
ATTENTION, CONVOLUTIONS = ("attentions.",), ("resnets.", "downsamplers.", "upsamplers.")
TEXT = ("self_attn.", "mlp.")


@dataclass(frozen=True)
class Extraction:
    """`convolutions` is None where they are left out. `minimum` is the difference from which a text encoder counts as
    another one."""

    linear: RankRule
    convolutions: RankRule | None
    minimum: float = 0.0


@dataclass
class _Pair:
    """Both files, opened."""

    base: Skeleton
    tuned: Skeleton
    base_weights: Weights
    tuned_weights: Weights

    def difference(self, component: str, name: str) -> torch.Tensor:
        key = f"{name}.weight"
        own, other = self.base.pieces[component][key], self.tuned.pieces[component].get(key)
        if other is None or own.shape != other.shape:
            raise BadModelFile(
                f"{self.tuned.file.name} does not fit {self.base.file.name}: {name} has another size.",
                remedy="Choose two models of one family.", path=str(self.tuned.file.path),
            )  # fmt: skip
        tuned = self.tuned_weights.read(other.info).float().reshape(own.shape)
        return tuned - self.base_weights.read(own.info).float().reshape(own.shape)


def extract(
    base: Skeleton, tuned: Skeleton, how: Extraction, done: Callable[[int, int], Any],
    device: torch.device | None = None,
) -> tuple[dict[str, Layer], float]:  # fmt: skip
    """Layers by kohya's names, and the share of the change that they hold on average.

    Raises `BadModelFile` for models of different kinds, `BadRequest` where there is no difference.
    """
    if base.family.name != tuned.family.name:
        raise BadModelFile(
            f"{base.file.name} is {base.family.title}, {tuned.file.name} is {tuned.family.title}.",
            remedy="Choose two models of one family.", path=str(tuned.file.path),
        )  # fmt: skip
    names, chosen = base.kohya_names(), list(_chosen(base, how))
    found: dict[str, Layer] = {}
    kept: list[float] = []
    with open_weights(base.file.path) as first, open_weights(tuned.file.path) as second, torch.no_grad():
        pair = _Pair(base, tuned, first, second)
        same = _same_texts(pair, chosen, how.minimum)
        for index, (component, name, _) in enumerate(chosen):
            done(index, len(chosen))
            if component in same:
                continue
            change = pair.difference(component, name)
            if not change.any():
                continue
            kernel = tuple(change.shape[2:])
            rule = how.convolutions if any(side > 1 for side in kernel) and how.convolutions else how.linear
            narrow = narrow_matrix(flat(change.to(device)), rule)
            found[names[component, name]] = layer_of(narrow, kernel)
            kept.append(narrow.kept)
        done(len(chosen), len(chosen))
    if not found:
        raise BadRequest("tuned_model", "both models are the same where a LoRA could tell them apart.",
                         remedy="Choose another model.")  # fmt: skip
    return found, sum(kept) / len(kept)


def _chosen(base: Skeleton, how: Extraction) -> Iterator[tuple[str, str, nn.Module]]:
    for component, name, module in base.layers():
        if not isinstance(module, (nn.Linear, nn.Conv2d)):
            continue
        parts = TEXT if component != "unet" else ATTENTION + (CONVOLUTIONS if how.convolutions else ())
        if any(part in name for part in parts):
            yield component, name, module


def _same_texts(pair: _Pair, chosen: list[tuple[str, str, nn.Module]], minimum: float) -> set[str]:
    """Text encoders that were not trained."""
    largest: dict[str, float] = {}
    for component, name, _ in chosen:
        if component != "unet" and largest.get(component, 0.0) <= minimum:
            found = float(pair.difference(component, name).abs().max())
            largest[component] = max(largest.get(component, 0.0), found)
    return {component for component, most in largest.items() if most <= minimum}
