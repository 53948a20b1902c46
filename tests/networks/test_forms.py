"""Every form against its formula: linear layers and convolutions."""

import numpy as np
import pytest
import torch

from atelier.base.errors import BadModelFile
from atelier.networks.form import shaped
from atelier.networks.forms import bias_delta, form_of, weight_delta
from tests.networks import formulas
from tests.networks.conftest import random

OUT, IN, K, R = 12, 8, 3, 3


def linear():
    return random(OUT, IN, size=1.0)


def conv():
    return random(OUT, IN, K, K, size=1.0)


def n(tensor):
    return tensor.double().numpy()


def check(parts, weight, expected, dyn=None):
    found = weight_delta(parts, weight, dyn)
    assert found.shape == weight.shape
    assert np.abs(n(found) - np.asarray(expected).reshape(weight.shape)).max() < 1e-5
    assert np.abs(expected).max() > 1e-3


@pytest.mark.parametrize("alpha", [None, 1.5])
def test_lora_of_a_linear_layer(alpha):
    parts = {"up": random(OUT, R), "down": random(R, IN)}
    if alpha:
        parts["alpha"] = torch.tensor(alpha)
    check(parts, linear(), formulas.lora(n(parts["up"]), n(parts["down"]), alpha))


def test_scale_wins_over_alpha():
    parts = {"up": random(OUT, R), "down": random(R, IN), "alpha": torch.tensor(9.0), "scale": torch.tensor(0.5)}
    check(parts, linear(), 0.5 * formulas.lora(n(parts["up"]), n(parts["down"])))


def test_lora_of_a_convolution():
    parts = {"up": random(OUT, R, 1, 1), "down": random(R, IN, K, K), "alpha": torch.tensor(2.0)}
    check(parts, conv(), formulas.lora(n(parts["up"]), n(parts["down"]), 2.0))


@pytest.mark.parametrize("four", [True, False])
def test_a_linear_layer_and_a_convolution_of_one_pixel_are_the_same(four):
    parts = {"up": random(OUT, R), "down": random(R, IN)}
    if four:
        parts = {name: tensor[:, :, None, None] for name, tensor in parts.items()}
    weight = linear() if four else linear()[:, :, None, None]
    check(parts, weight, formulas.lora(n(parts["up"]), n(parts["down"])))


def test_dyn_keeps_the_first_ranks_and_the_scale():
    parts = {"up": random(OUT, R), "down": random(R, IN), "alpha": torch.tensor(1.5)}
    expected = formulas.lora(n(parts["up"][:, :2]), n(parts["down"][:2])) * 1.5 / R
    check(parts, linear(), expected, dyn=2)


def test_locon_with_a_kernel_between():
    parts = {"up": random(OUT, R, 1, 1), "mid": random(R, R, K, K, size=1.0), "down": random(R, IN, 1, 1)}
    parts["alpha"] = torch.tensor(1.0)
    up, down = n(parts["up"])[:, :, 0, 0], n(parts["down"])[:, :, 0, 0]
    check(parts, conv(), formulas.locon_cp(up, n(parts["mid"]), down, 1.0))


def test_a_dense_and_a_sparse_part_are_added_before_the_scale():
    extra = random(OUT, IN, seed=9)
    plain = {"up": random(OUT, R), "down": random(R, IN), "alpha": torch.tensor(1.5)}
    expected = (formulas.lora(n(plain["up"]), n(plain["down"])) + n(extra)) * 0.5
    check({**plain, "bias": extra}, linear(), expected)
    sparse = extra.to_sparse()
    parts = {
        **plain, "bias_indices": sparse.indices(), "bias_values": sparse.values(), "bias_size": torch.tensor([OUT, IN]),
    }  # fmt: skip
    check(parts, linear(), expected)


def test_loha():
    parts = {
        "hada_w1_a": random(OUT, R, size=1.0), "hada_w1_b": random(R, IN),
        "hada_w2_a": random(OUT, R, seed=1, size=1.0), "hada_w2_b": random(R, IN, seed=1, size=1.0),
        "alpha": torch.tensor(1.2),
    }  # fmt: skip
    names = ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")
    check(parts, linear(), formulas.loha(*(n(parts[name]) for name in names), 1.2))


@pytest.mark.parametrize("tucker", [True, False])
def test_loha_of_a_convolution(tucker):
    if not tucker:
        parts = {
            "hada_w1_a": random(OUT, R, size=1.0), "hada_w1_b": random(R, IN * K * K),
            "hada_w2_a": random(OUT, R, seed=1, size=1.0), "hada_w2_b": random(R, IN * K * K, seed=1, size=1.0),
        }  # fmt: skip
        expected = formulas.loha(*(n(t) for t in parts.values()), R)
    else:
        parts = {
            "hada_t1": random(R, R, K, K, size=1.0), "hada_w1_a": random(R, OUT, size=1.0), "hada_w1_b": random(R, IN),
            "hada_t2": random(R, R, K, K, seed=1, size=1.0), "hada_w2_a": random(R, OUT, seed=1, size=1.0),
            "hada_w2_b": random(R, IN, seed=1, size=1.0),
        }  # fmt: skip
        one, two = (formulas.cp(*(n(parts[f"hada_{x.format(i)}"]) for x in ("t{}", "w{}_a", "w{}_b"))) for i in "12")
        expected = one * two
    check(parts, conv(), expected)


@pytest.mark.parametrize("split", ["none", "first", "second", "both"])
def test_lokr(split):
    small, large = (3, 4), (OUT // 3, IN // 4)
    parts, rank = {"alpha": torch.tensor(0.7)}, None
    whole = {}
    for side, (rows, columns), names in (("1", small, ("first", "both")), ("2", large, ("second", "both"))):
        if split in names:
            a, b = random(rows, 2, seed=int(side), size=1.0), random(2, columns, seed=int(side), size=0.5)
            parts |= {f"lokr_w{side}_a": a, f"lokr_w{side}_b": b}
            whole[side], rank = n(a) @ n(b), 2
        else:
            parts[f"lokr_w{side}"] = random(rows, columns, seed=int(side), size=0.5)
            whole[side] = n(parts[f"lokr_w{side}"])
    # With both factors whole, alpha does not scale.
    check(parts, linear(), formulas.kron(whole["1"], whole["2"]) * (0.7 / rank if rank else 1.0))


@pytest.mark.parametrize("tucker", [True, False])
def test_lokr_of_a_convolution(tucker):
    w1 = random(3, 4, size=1.0)
    if tucker:
        parts = {"lokr_t2": random(2, 2, K, K, size=1.0), "lokr_w2_a": random(2, OUT // 3)}
        parts["lokr_w2_b"] = random(2, IN // 4)
        large = formulas.cp(*(n(t) for t in parts.values()))
        scale = 1.4 / 2
    else:
        parts = {"lokr_w2": random(OUT // 3, IN // 4, K, K)}
        large, scale = n(parts["lokr_w2"]), 1.0
    expected = np.zeros((OUT, IN, K, K))
    for x in range(K):
        for y in range(K):
            expected[:, :, x, y] = formulas.kron(n(w1), large[:, :, x, y])
    parts |= {"lokr_w1": w1, "alpha": torch.tensor(1.4)}
    found = weight_delta(parts, conv())
    assert np.abs(n(found) - expected * scale).max() < 1e-5


@pytest.mark.parametrize("make", [linear, conv])
@pytest.mark.parametrize("on_input", [True, False])
def test_ia3(make, on_input):
    weight = make()
    factor = random(IN if on_input else OUT, size=1.0)
    shape = (1, -1) if on_input else (-1, 1)
    expected = n(weight) * n(factor).reshape(*shape, *[1] * (weight.ndim - 2))
    parts = {"weight": factor if make is linear else factor.reshape(1, -1, 1, 1), "on_input": torch.tensor(on_input)}
    check(parts, weight, expected)


@pytest.mark.parametrize("make", [linear, conv])
def test_full_difference_and_norm(make):
    weight = make()
    diff = random(*weight.shape, seed=3)
    check({"diff": diff}, weight, n(diff))
    check({"w_norm": diff.reshape(-1)[:IN]}, random(IN, size=1.0), n(diff).reshape(-1)[:IN])


def test_bias_alone_changes_no_weight():
    parts = {"diff_b": random(OUT)}
    assert weight_delta(parts, linear()) is None and torch.equal(bias_delta(parts), parts["diff_b"])
    assert torch.equal(bias_delta({"w_norm": random(IN), "b_norm": random(IN, seed=1)}), random(IN, seed=1))


@pytest.mark.parametrize("make", [linear, conv])
@pytest.mark.parametrize("old", [True, False])
def test_glora(make, old):
    weight = make()
    narrow, wide = random(R, IN, seed=1), random(IN, R, seed=2, size=1.0)
    kernel = IN if make is linear else IN * K * K
    down = random(R, kernel, seed=3) if make is linear else random(R, IN, K, K, seed=3)
    up = random(OUT, R, seed=4, size=1.0)
    turned = np.einsum("oi...,ij->oj...", n(weight), n(wide) @ n(narrow))
    expected = (n(up) @ n(down).reshape(R, -1)).reshape(weight.shape) + turned
    if old:
        parts = {"a1": narrow, "a2": wide, "b1": down, "b2": up}
    else:
        parts = {"a1": wide, "a2": narrow, "b1": up, "b2": down}
    check({**parts, "alpha": torch.tensor(1.5)}, weight, expected * 1.5 / R)


@pytest.mark.parametrize("make", [linear, conv])
@pytest.mark.parametrize("alpha", [None, 0.0, 1e-2])
def test_oft_of_kohya(make, alpha):
    weight, blocks = make(), random(4, 3, 3, size=0.5)
    parts = {"oft_blocks": blocks} | ({} if alpha is None else {"alpha": torch.tensor(alpha)})
    used = constrained = n(blocks)
    if alpha:
        used = formulas.constrained(constrained, alpha * OUT)
        assert not np.allclose(used, constrained)
    expected = formulas.oft(n(weight), [formulas.cayley(b) for b in used]) - n(weight)
    check(parts, weight, expected)


def test_oft_with_lengths():
    weight, blocks, length = linear(), random(4, 3, 3, size=0.5), 1 + random(OUT, 1)
    turned = formulas.oft(n(weight), [formulas.cayley(b) for b in n(blocks)])
    check({"oft_blocks": blocks, "rescale": length}, weight, turned * n(length) - n(weight))


@pytest.mark.parametrize("make", [linear, conv])
def test_oft_of_old_lycoris_holds_the_rotations_themselves(make):
    weight = make()
    rotations = [formulas.cayley(b) for b in n(random(4, 3, 3, size=0.5))]
    expected = formulas.oft(n(weight), rotations) - n(weight)
    check({"oft_diag": torch.tensor(np.stack(rotations)).float()}, weight, expected)


@pytest.mark.parametrize("rescaled", [True, False])
def test_boft(rescaled):
    weight = random(16, IN, size=1.0)
    blocks = random(3, 4, 4, 4, size=0.5)
    stages = [np.stack([formulas.cayley(b) for b in stage]) for stage in n(blocks)]
    expected = formulas.butterfly(n(weight), stages)
    parts = {"oft_blocks": blocks, "alpha": torch.tensor(0.0)}
    if rescaled:
        parts["rescale"] = 1 + random(16, 1)
        expected = expected * n(parts["rescale"])
    check(parts, weight, expected - n(weight))
    assert form_of(parts).name == "BOFT"


@pytest.mark.parametrize("make", [linear, conv])
@pytest.mark.parametrize("rows", [True, False])
def test_dora(make, rows):
    weight = make()
    down = random(R, IN) if make is linear else random(R, IN, K, K)
    parts = {"up": random(OUT, R), "down": down, "alpha": torch.tensor(2.0)}
    change = formulas.lora(n(parts["up"]), n(down), 2.0).reshape(weight.shape)
    rest = [1] * (weight.ndim - 2)
    length = random(OUT, 1, *rest, size=1.0) if rows else random(1, IN, *rest, size=1.0)
    formula = formulas.dora_by_row if rows else formulas.dora_by_column
    check({**parts, "dora_scale": length}, weight, formula(n(weight), change, n(length)))


def test_dora_of_a_square_layer_is_decided_by_shape():
    weight = random(IN, IN, size=1.0)
    parts = {"up": random(IN, R), "down": random(R, IN)}
    change = formulas.lora(n(parts["up"]), n(parts["down"]))
    length = random(IN, size=1.0)
    for shape, formula in (((1, IN), formulas.dora_by_column), ((IN, 1), formulas.dora_by_row)):
        given = length.reshape(shape)
        check({**parts, "dora_scale": given}, weight, formula(n(weight), change, n(given)))
    check({**parts, "magnitude": length}, weight, formulas.dora_by_row(n(weight), change, n(length)))


def test_dora_on_other_forms_and_on_rows_of_zeros():
    weight = linear()
    weight[2] = 0
    diff = random(OUT, IN, seed=5)
    diff[2] = 0
    found = weight_delta({"diff": diff, "dora_scale": 1 + random(OUT, 1)}, weight)
    assert torch.isfinite(found).all() and found[2].abs().max() == 0
    fine = weight_delta({"diff": random(OUT, IN, seed=5), "dora_scale": 1 + random(1, IN)}, linear())
    expected = formulas.dora_by_column(n(linear()), n(random(OUT, IN, seed=5)), n(1 + random(1, IN)))
    assert np.abs(n(fine) - expected).max() < 1e-5


def test_what_fits_no_layer_or_form_is_said():
    with pytest.raises(BadModelFile, match="no known form"):
        form_of({"alpha": torch.tensor(1.0)})
    with pytest.raises(BadModelFile, match=r"\[12, 8\].*\[8, 12\]"):
        shaped(random(OUT, IN), random(IN, OUT))
    with pytest.raises(BadModelFile, match="rotates"):
        weight_delta({"oft_blocks": random(5, 3, 3)}, linear())
    with pytest.raises(BadModelFile, match="lengths"):
        weight_delta({"diff": random(OUT, IN), "dora_scale": random(5, 1)}, linear())
