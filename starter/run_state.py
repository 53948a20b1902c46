"""The state of a run: networks, running average, optimiser, counters, in one file that a later run continues."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from starter.models import UNetShape, build_text, build_unet


@dataclass
class Counters:
    """Steps taken and pictures seen, over all runs that led here."""

    steps: int = 0
    seen: int = 0
    seconds: float = 0.0


def _groups(named: list[tuple[str, torch.nn.Parameter]], embedding_factor: float) -> list[dict[str, Any]]:
    """Embeddings learn faster and only matrices decay."""
    tables = [p for name, p in named if name.startswith("text.") and "embedding" in name]
    known = {id(p) for p in tables}
    matrices = [p for _, p in named if p.ndim >= 2 and id(p) not in known]
    vectors = [p for _, p in named if p.ndim < 2]
    return [
        {"params": matrices, "factor": 1.0, "weight_decay": 0.01},
        {"params": vectors, "factor": 1.0, "weight_decay": 0.0},
        {"params": tables, "factor": embedding_factor, "weight_decay": 0.0},
    ]


class RunState:
    """Networks in training with their exponential average. `used`: the CLIP tokens of the compact table."""

    def __init__(
        self, shape: UNetShape, used: torch.Tensor, embedding_factor: float = 4.0, device: str = "cpu"
    ) -> None:
        self.shape, self.used, self.device = shape, used, device
        self.unet, self.text = build_unet(shape).to(device), build_text(len(used)).to(device)
        named = [("unet." + n, p) for n, p in self.unet.named_parameters()] + [
            ("text." + n, p) for n, p in self.text.named_parameters()
        ]
        self.parameters = [p for _, p in named]
        self.optimizer = torch.optim.AdamW(_groups(named, embedding_factor), lr=1e-3, betas=(0.9, 0.98), fused=True)
        self.counters = Counters()
        self._average: list[torch.Tensor] = []
        self.restart_average()

    def restart_average(self) -> None:
        self._average = [p.detach().clone() for p in self.parameters]
        self._averaged = 0

    def average(self, decay: float) -> None:
        """One step of the running average; short memory at first, so that early values are forgotten."""
        self._averaged += 1
        decay = min(decay, (1 + self._averaged) / (10 + self._averaged))
        torch._foreach_lerp_(self._average, [p.detach() for p in self.parameters], 1 - decay)

    def swap(self) -> None:
        """Exchanges the networks' values with the average; call it again to go back."""
        for p, mean in zip(self.parameters, self._average):
            kept = p.data.clone()
            p.data.copy_(mean)
            mean.copy_(kept)

    def set_rate(self, rate: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]

    def save(self, path: Path) -> None:
        partial = path.with_suffix(".part")
        torch.save(
            {
                "shape": asdict(self.shape),
                "used": self.used,
                "unet": self.unet.state_dict(),
                "text": self.text.state_dict(),
                "average": self._average,
                "averaged": self._averaged,
                "optimizer": self.optimizer.state_dict(),
                "counters": asdict(self.counters),
            },
            partial,
        )
        partial.replace(path)

    @classmethod
    def load(cls, path: Path, device: str = "cpu") -> RunState:
        data = torch.load(path, map_location=device)
        state = cls(UNetShape(**data["shape"]), data["used"].cpu(), device=device)
        state.unet.load_state_dict(data["unet"])
        state.text.load_state_dict(data["text"])
        state.optimizer.load_state_dict(data["optimizer"])
        state._average, state._averaged = data["average"], data["averaged"]
        state.counters = Counters(**data["counters"])
        return state
