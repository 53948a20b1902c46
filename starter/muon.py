"""Muon: momentum made orthogonal before each step (Jordan and others, 2024), for kernels of convolutions and matrices.

torch's own takes matrices alone. Here a kernel [out, in, h, w] is the matrix [out, in*h*w], and those of one shape are
worked on together, because small networks have many small kernels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch

#: the quintic of Newton and Schulz whose slope at 0 is steep; five rounds bring singular values to 0.7..1.2
_A, _B, _C, _ROUNDS = 3.4445, -4.7750, 2.0315, 5


def orthogonal(matrices: torch.Tensor) -> torch.Tensor:  # [N, m, n] -> [N, m, n]
    """The nearest matrices with orthonormal rows or columns, roughly."""
    x = matrices.bfloat16()
    turned = x.shape[1] > x.shape[2]
    x = x.transpose(1, 2).contiguous() if turned else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(_ROUNDS):
        square = x @ x.transpose(1, 2)
        x = _A * x + (_B * square + _C * (square @ square)) @ x
    return (x.transpose(1, 2) if turned else x).float()


class Muon(torch.optim.Optimizer):
    """The step has the size that AdamW's would have at the same rate: root mean square 0.2 of it."""

    def __init__(self, parameters: Iterable[torch.nn.Parameter], lr: float, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            alike: dict[tuple[int, ...], list[torch.nn.Parameter]] = defaultdict(list)
            for p in group["params"]:
                alike[tuple(p.shape)].append(p)
            for shape, kernels in alike.items():
                self._step(kernels, shape, group["lr"], group["momentum"])

    def _step(self, kernels: list[torch.nn.Parameter], shape: tuple[int, ...], lr: float, momentum: float) -> None:
        wanted = []
        for p in kernels:
            past = self.state[p].setdefault("momentum", torch.zeros_like(p))
            past.lerp_(p.grad, 1 - momentum)
            wanted.append(p.grad.lerp(past, momentum).reshape(shape[0], -1))
        steps = orthogonal(torch.stack(wanted))
        size = lr * 0.2 * max(steps.shape[1:]) ** 0.5
        for p, step in zip(kernels, steps):
            p.sub_(step.view(shape), alpha=size)


class Optimizers:
    """Muon for kernels and matrices, AdamW for the rest, as one. Layers named in `fast` take four times the rate."""

    def __init__(self, network: torch.nn.Module, fast: tuple[str, ...] = ()) -> None:
        kernels, vectors = [], []
        for name, p in network.named_parameters():
            if p.requires_grad:
                row = {"params": [p], "factor": 4.0 if any(name.startswith(f"{layer}.") for layer in fast) else 1.0}
                (kernels if p.ndim > 1 else vectors).append(row)
        self._parts = (
            Muon(_joined(kernels), 0.0),
            torch.optim.AdamW(_joined(vectors), 0.0, (0.9, 0.98), weight_decay=0.0, fused=True),
        )

    def step(self, loss: torch.Tensor, rate: float) -> None:
        """Backward pass and step."""
        for part in self._parts:
            part.zero_grad()
            for group in part.param_groups:
                group["lr"] = rate * group["factor"]
        loss.backward()
        for part in self._parts:
            part.step()


def _joined(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One group for each factor: what is in one group is worked on together."""
    factors = sorted({row["factor"] for row in rows})
    return [{"params": [p for row in rows if row["factor"] == f for p in row["params"]], "factor": f} for f in factors]
