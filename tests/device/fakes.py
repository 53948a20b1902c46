"""A device that is not there: modules that only write down where they were sent."""

from __future__ import annotations

import torch
from torch import nn

CARD = torch.device("cuda", 0)


class Recorder(nn.Module):
    """Has `size` bytes of weights and never moves; `log` is shared by the modules of a test."""

    def __init__(self, name: str, size: int, log: list[str]) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(size // 4), requires_grad=False)
        self.name, self.log, self.place = name, log, torch.device("cpu")

    def to(self, device):
        self.place = torch.device(device)
        self.log.append(f"{self.name}>{self.place.type}")
        return self


class Card:
    """Memory of `total` bytes, of which modules that were sent here take their part."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.modules: list[Recorder] = []
        self.log: list[str] = []

    def module(self, name: str, size: int = 400) -> Recorder:
        made = Recorder(name, size, self.log)
        self.modules.append(made)
        return made

    def free(self, device: torch.device) -> int:
        assert device == CARD
        return self.total - sum(m.weights.numel() * 4 for m in self.modules if m.place == CARD)
