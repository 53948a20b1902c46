"""Low rank: the best product of two narrow matrices, and kohya's rules for the rank."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from atelier.networks.lowrank import RankRule, narrow_matrix, narrow_product


def test_a_matrix_of_low_rank_comes_back():
    generator = torch.Generator().manual_seed(0)
    up, down = torch.randn(40, 5, generator=generator), torch.randn(5, 30, generator=generator)
    for found in (narrow_matrix(up @ down, RankRule(5)), narrow_product(up, down, RankRule(5))):
        assert found.rank == 5 and found.kept == pytest.approx(1, abs=1e-6)
        assert torch.allclose(found.up @ found.down, up @ down, atol=1e-4)


def test_both_ways_are_the_same_and_the_best():
    generator = torch.Generator().manual_seed(1)
    up, down = torch.randn(20, 9, generator=generator), torch.randn(9, 25, generator=generator)
    whole, product = narrow_matrix(up @ down, RankRule(4)), narrow_product(up, down, RankRule(4))
    assert torch.allclose(whole.up @ whole.down, product.up @ product.down, atol=1e-4)
    values = np.linalg.svd((up @ down).double().numpy(), compute_uv=False)
    error = np.linalg.norm((up @ down - product.up @ product.down).double().numpy())
    assert error == pytest.approx(np.sqrt((values[4:] ** 2).sum()), rel=1e-4)
    assert product.kept == pytest.approx(np.sqrt((values[:4] ** 2).sum() / (values**2).sum()), rel=1e-5)


@pytest.mark.parametrize(
    ("rule", "parameter", "wanted"),
    [
        # values 8, 4, 2, 1, 0.5: above 8/3 are 2; half of 15.5 is reached by the first; 0.9 by the third;
        # squares 64, 16, 4, 1, 0.25 of 85.25: 0.81 of it is reached by the second
        ("sv_ratio", 3.0, 3), ("sv_cumulative", 0.5, 2), ("sv_cumulative", 0.9, 4), ("sv_fro", 0.9, 3),
        ("Fixed rank", 0.0, 16), ("sv_ratio", 1e9, 16),
    ],
)  # fmt: skip
def test_rules(rule, parameter, wanted):
    values = torch.tensor([8, 4, 2, 1, 0.5])
    assert RankRule(16, rule, parameter).choose(values, 64) == min(wanted, 16 if rule == "Fixed rank" else 6)
    assert RankRule(2, rule, parameter).choose(values, 64) == 2
    assert RankRule(16, rule, parameter).choose(torch.zeros(5), 64) == 1


def test_clamping():
    matrix = torch.diag(torch.tensor([100.0, 1.0, 1.0, 1.0]))
    found = narrow_matrix(matrix, RankRule(4, clamp=0.9))
    assert found.up.abs().max() < 100 and narrow_matrix(matrix, RankRule(4)).up.abs().max() == pytest.approx(100)
