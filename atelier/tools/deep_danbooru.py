"""DeepDanbooru: the network that scores the words of an image board, under the names of its PyTorch file.

A residual network (He and others, 2015) by Kichang Kim (MIT); the file and its names, in which every layer has a
number, are those of TorchDeepDanbooru (MIT).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from atelier.base.errors import BadModelFile
from atelier.checkpoints.reader import read_object
from atelier.tools.opened import Opened

KIND = "DeepDanbooru"
#: of each stage the width inside a block and behind it, as multiples of the first layer's, and how many blocks it has
STAGES = ((1, 4, 3), (2, 8, 8), (4, 16, 20), (4, 16, 20), (8, 32, 3), (16, 64, 3))
#: its list of words, in the file beside the weights
NAMES = "tags"
FIRST, LAST = "n_Conv_0.weight", "n_Conv_178.weight"


@dataclass(frozen=True)
class Block:
    """The numbers of its three layers, and of the one beside them where there is one."""

    layers: tuple[int, int, int]
    beside: int | None
    stride: int


class DeepDanbooru(nn.Module):
    """`width` is that of the first layer, 64 in the published file; `names` are the words in the order of scores."""

    def __init__(self, width: int, names: tuple[str, ...]) -> None:
        super().__init__()
        self.names = names
        self.blocks: list[Block] = []
        self._conv(3, width, 7, 2)
        now = width
        for number, (inside, behind, count) in enumerate(STAGES):
            for place in range(count):
                self._block(now, inside * width, behind * width, 2 if number and not place else 1)
                now = behind * width
        self._conv(now, len(names), 1, 1, bias=False)

    def _conv(self, ins: int, outs: int, side: int, stride: int, bias: bool = True) -> int:
        number = len(self._modules)
        # Even strides have their own padding below.
        padding = side // 2 if stride == 1 else 0
        self.add_module(f"n_Conv_{number}", nn.Conv2d(ins, outs, side, stride, padding, bias=bias))
        return number

    def _block(self, ins: int, inside: int, outs: int, stride: int) -> None:
        # The file counts the layer beside the others first, unless only the stride makes it necessary.
        beside = self._conv(ins, outs, 1, stride) if ins != outs else None
        layers = self._conv(ins, inside, 1, 1), self._conv(inside, inside, 3, stride), self._conv(inside, outs, 1, 1)
        if beside is None and stride != 1:
            beside = self._conv(ins, outs, 1, stride)
        self.blocks.append(Block(layers, beside, stride))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, 3, h, w] in 0..1, sides multiples of 64 -> [B, words] in 0..1."""
        # TensorFlow pads what comes out even on the right and below.
        x = F.relu(self._run(0, F.pad(x, (2, 3, 2, 3))))
        x = F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-torch.inf), 3, 2)
        for block in self.blocks:
            x = self._through(block, x)
        return self._run(len(self._modules) - 1, x).mean((2, 3)).sigmoid()

    def _through(self, block: Block, x: torch.Tensor) -> torch.Tensor:
        narrow, middle, wide = block.layers
        h = F.relu(self._run(narrow, x))
        h = F.relu(self._run(middle, F.pad(h, (0, 1, 0, 1)) if block.stride == 2 else h))
        return F.relu(self._run(wide, h) + (x if block.beside is None else self._run(block.beside, x)))

    def _run(self, number: int, x: torch.Tensor) -> torch.Tensor:
        return getattr(self, f"n_Conv_{number}")(x)


def open_deep_danbooru(path: Path, allow_pickle: bool) -> Opened:
    """Raises `BadModelFile` for another kind of file, `ForbiddenPickle`."""
    state = read_object(path, allow_pickle)
    names = names_in(state)
    if names is None:
        raise BadModelFile(
            f"{path.name} is no DeepDanbooru.", remedy="Use model-resnet_custom_v3.pt.", path=str(path)
        )  # fmt: skip
    weights = {name: tensor for name, tensor in state.items() if name != NAMES}
    with torch.device("meta"):
        module = DeepDanbooru(weights[FIRST].shape[0], names)
    return Opened.of(module, weights, KIND)


def names_in(state: Any) -> tuple[str, ...] | None:
    """The words in a file of this kind; None for another."""
    if not isinstance(state, Mapping) or not all(isinstance(state.get(n), torch.Tensor) for n in (FIRST, LAST)):
        return None
    names = state.get(NAMES)
    return tuple(map(str, names)) if names and len(names) == state[LAST].shape[0] else None
