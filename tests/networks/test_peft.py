"""PEFT's own forms against their formulas, written out with whole matrices."""

import numpy as np
import pytest
import torch

from atelier.base.errors import BadModelFile
from atelier.networks.forms import form_of, weight_delta
from atelier.networks.keys import split_key
from tests.networks.conftest import random
from tests.networks.test_forms import IN, OUT, check, conv, linear, n


def cayley(square):
    skew = (square - square.T) / 2
    eye = np.eye(len(square))
    return (eye - skew) @ np.linalg.inv(eye + skew)


def diagonal(blocks):
    size = len(blocks[0])
    whole = np.zeros((size * len(blocks),) * 2)
    for k, block in enumerate(blocks):
        whole[k * size : (k + 1) * size, k * size : (k + 1) * size] = block
    return whole


@pytest.mark.parametrize("make", [linear, conv])
@pytest.mark.parametrize("shared", [True, False])
def test_oft_with_lengths_turns_inputs(make, shared):
    weight = make()
    columns = weight.flatten(1).shape[1]
    squares, lengths = random(1 if shared else columns // 4, 4, 4, size=0.5), 1 + random(OUT, 1)
    turned = [cayley(b) for b in n(squares)] * (columns // 4 if shared else 1)
    expected = n(weight).reshape(OUT, -1) @ diagonal(turned).T * n(lengths)
    check({"oft_r": squares, "oft_s": lengths}, weight, expected - n(weight).reshape(OUT, -1))


@pytest.mark.parametrize("make", [linear, conv])
def test_the_oldest_oft_turns_outputs(make):
    weight, squares = make(), random(3, 4, 4, size=0.5)
    turned = diagonal([cayley(b) for b in n(squares)]).T @ n(weight).reshape(OUT, -1)
    check({"oft_r": squares}, weight, turned - n(weight).reshape(OUT, -1))


@pytest.mark.parametrize("exact", [True, False])
def test_new_oft_keeps_triangles(exact):
    weight, rows = linear(), random(2, 6, size=0.2)
    skews = np.zeros((2, 4, 4))
    above, right = np.triu_indices(4, 1)
    skews[:, above, right] = n(rows)
    skews -= skews.transpose(0, 2, 1)
    if exact:
        turned = [cayley(s) for s in skews]
    else:
        turned = [np.eye(4) + 2 * s + 2 * s @ s + 2 * s @ s @ s + s @ s @ s @ s for s in skews]
        # A series for the other direction of the same turn.
        assert np.abs(turned[0] - cayley(skews[0]).T).max() < 0.05
    expected = n(weight) @ diagonal(turned).T
    parts = {"oft_R": rows, **({"exact": torch.tensor(True)} if exact else {})}
    check(parts, weight, expected - n(weight))


@pytest.mark.parametrize("stages", [1, 2, 3])
def test_boft(stages):
    weight, squares, lengths = random(OUT, 16, size=1.0), random(stages, 4, 4, 4, size=0.5), 1 + random(OUT, 1)
    whole = np.eye(16)
    for index, stage in enumerate(n(squares)):
        order = np.arange(16)
        if stages > 1:
            groups = 4 // 2**index
            halves = order.reshape(groups, -1, 2)
            order = np.concatenate([halves[:, 0::2], halves[:, 1::2]], axis=1).reshape(-1)
        permutation = np.eye(16)[order]
        whole = permutation @ diagonal([cayley(b) for b in stage]) @ permutation.T @ whole
    expected = n(weight) @ whole.T * n(lengths)
    parts = {"boft_R": squares, "boft_s": lengths}
    check(parts, weight, expected - n(weight))
    assert form_of(parts).name == "BOFT of PEFT"


@pytest.mark.parametrize(("make", "shape", "axis"), [
    (linear, (OUT, 1), 0), (linear, (1, IN), 1), (conv, (1, OUT, 1, 1), 0), (conv, (1, IN, 1, 1), 1),
])  # fmt: skip
def test_ia3(make, shape, axis):
    weight, factor = make(), 1 + random(*shape)
    wide = [1] * weight.ndim
    wide[axis] = -1
    check({"ia3_l": factor}, weight, n(weight) * (n(factor).reshape(wide) - 1))


@pytest.mark.parametrize("parts", [
    {"oft_r": random(5, 4, 4)}, {"oft_R": random(2, 5)}, {"boft_R": random(2, 3, 4, 4)}, {"ia3_l": random(1, 5)},
])  # fmt: skip
def test_entries_for_other_layers_are_refused(parts):
    with pytest.raises(BadModelFile):
        weight_delta(parts, linear())


@pytest.mark.parametrize(("end", "part"), [
    ("oft_r", "oft_r"), ("oft_s", "oft_s"), ("oft_R.weight", "oft_R"), ("oft_R.default.weight", "oft_R"),
    ("boft_R", "boft_R"), ("boft_s.default", "boft_s"), ("ia3_l", "ia3_l"),
])  # fmt: skip
def test_names(end, part):
    layer = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    assert split_key(f"base_model.model.{layer}.{end}") == (layer.replace(".", "_"), part)
