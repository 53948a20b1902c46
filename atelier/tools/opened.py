"""Opened: a network that works on pictures, with what its user has to know about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from atelier.base.errors import BadModelFile


@dataclass
class Opened:
    """`kind` is the architecture; sides must be a `multiple`. `call` is used in the place of the module if given."""

    module: nn.Module
    kind: str
    scale: int = 1
    channels: int = 3
    multiple: int = 1
    half: bool = True
    call: Callable[[torch.Tensor], Any] | None = None

    @classmethod
    def of(cls, module: nn.Module, state: Mapping[str, torch.Tensor], kind: str, **facts: Any) -> Opened:
        """A module made on the meta device, filled with these weights. Raises `BadModelFile` when they do not fit."""
        weights = {name: tensor.float() for name, tensor in state.items()}
        try:
            module.load_state_dict(weights, assign=True)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:300]
            raise BadModelFile(
                f"The weights do not fit the architecture {kind}: {reason}", remedy="Download the file again."
            ) from error
        for parameter in module.parameters():
            parameter.requires_grad_(False)
        return cls(module.eval(), kind, **facts)

    def run(self, tensor: torch.Tensor) -> torch.Tensor:
        """[B, C, H, W] in 0..1, in the module's precision and on its device."""
        return (self.call or self.module)(tensor)
