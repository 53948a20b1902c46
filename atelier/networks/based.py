"""BaseWeights: the weights of a checkpoint as the files of small networks name its layers, read one layer at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from atelier.base.errors import BadModelFile
from atelier.checkpoints.reader import Weights, open_weights
from atelier.networks.bake import FIRST, fitted_delta, on
from atelier.networks.form import Parts
from atelier.networks.keys import LayerMap
from atelier.networks.skeleton import Skeleton


class BaseWeights:
    """Made by `open_base`."""

    def __init__(self, skeleton: Skeleton, weights: Weights) -> None:
        self._skeleton, self._weights = skeleton, weights
        self._names = LayerMap(skeleton)

    @property
    def name(self) -> str:
        return self._skeleton.file.name

    def change(self, layer: str, parts: Parts) -> torch.Tensor | None:
        """What an entry adds to the weight of its layer at a strength of 1, in the weight's shape; None for nothing.

        Raises `BadModelFile` where the model has no such layer, and what tensors that do not fit each other raise.
        """
        target = self._names.find(layer)
        places = [] if target is None else self._skeleton.places(target, "weight")
        if target is None or not places:
            raise BadModelFile(
                f"{self.name} has no layer {layer}.", remedy="Choose the checkpoint that the network was trained on."
            )
        rows = [self._weights.read(piece.info).float().reshape(piece.shape) for piece in places]
        weight = rows[0] if len(rows) == 1 else torch.cat(rows)
        return fitted_delta(on(parts, weight.device, torch.float32), weight, None, target.name == FIRST)


@contextmanager
def open_base(skeleton: Skeleton) -> Iterator[BaseWeights]:
    with open_weights(skeleton.file.path) as weights, torch.no_grad():
        yield BaseWeights(skeleton, weights)
