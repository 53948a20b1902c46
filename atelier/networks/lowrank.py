"""Low rank: matrices as the product of two narrow ones, and the rules by which the rank is chosen.

The rules are those of kohya's sd-scripts (Apache-2.0): `sv_ratio`, `sv_fro`, `sv_cumulative`, or a fixed rank.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

FIXED, RATIO, FROBENIUS, CUMULATIVE = "Fixed rank", "sv_ratio", "sv_fro", "sv_cumulative"
#: a change whose largest singular value is below this is none
NOTHING = 1e-6


@dataclass(frozen=True)
class RankRule:
    """`rank` is the rank, or the most where `name` finds a smaller one by `parameter`. `clamp` cuts off the largest
    numbers beyond that quantile; 1 cuts nothing."""

    rank: int
    name: str = FIXED
    parameter: float = 0.0
    clamp: float = 1.0

    def choose(self, values: torch.Tensor, full: int) -> int:
        """For singular values in falling order, the largest first, of a matrix whose smaller side is `full`."""
        if not len(values) or float(values[0]) <= NOTHING:
            return 1
        if self.name == RATIO:
            index = int((values > values[0] / self.parameter).sum()) if self.parameter > 0 else len(values)
        elif self.name == FROBENIUS:
            index = _reached(values.square(), self.parameter**2)
        elif self.name == CUMULATIVE:
            index = _reached(values, self.parameter)
        else:
            return min(self.rank, full)
        return min(max(1, min(index, full - 1)) + 1, self.rank, full)


def _reached(values: torch.Tensor, share: float) -> int:
    """How many of the first values together are that share of all."""
    sums = values.double().cumsum(0)
    return int(torch.searchsorted(sums / sums[-1], torch.tensor(share, dtype=torch.float64))) + 1


@dataclass(frozen=True)
class Narrow:
    """up [out, r] and down [r, rest]; `kept` is the share of the change that they hold, by its Frobenius norm."""

    up: torch.Tensor
    down: torch.Tensor
    kept: float

    @property
    def rank(self) -> int:
        return self.down.shape[0]


def narrow_matrix(matrix: torch.Tensor, rule: RankRule) -> Narrow:  # [out, rest]
    """The best product of that rank (Eckart and Young, 1936)."""
    left, values, right = torch.linalg.svd(matrix.float(), full_matrices=False)
    return _cut(left, values, right, rule, min(matrix.shape))


def narrow_product(up: torch.Tensor, down: torch.Tensor, rule: RankRule) -> Narrow:  # [out, r], [r, rest]
    """The same for a product of narrow matrices, which is never multiplied out: only their cores are decomposed."""
    q_up, r_up = torch.linalg.qr(up.float())
    q_down, r_down = torch.linalg.qr(down.float().T)
    left, values, right = torch.linalg.svd(r_up @ r_down.T, full_matrices=False)
    return _cut(q_up @ left, values, right @ q_down.T, rule, min(up.shape[0], down.shape[1]))


def _cut(left: torch.Tensor, values: torch.Tensor, right: torch.Tensor, rule: RankRule, full: int) -> Narrow:
    rank = min(rule.choose(values, full), len(values))
    whole, part = float(values.square().sum()), float(values[:rank].square().sum())
    up, down = left[:, :rank] * values[:rank], right[:rank]
    if rule.clamp < 1:
        most = _quantile(torch.cat([up.flatten(), down.flatten()]), rule.clamp)
        up, down = up.clamp(-most, most), down.clamp(-most, most)
    return Narrow(up, down, (part / whole) ** 0.5 if whole else 1.0)


def _quantile(numbers: torch.Tensor, share: float) -> float:
    # torch.quantile refuses more than 16 million numbers.
    place = min(numbers.numel() - 1, int(share * (numbers.numel() - 1)))
    return float(numbers.kthvalue(place + 1).values)
