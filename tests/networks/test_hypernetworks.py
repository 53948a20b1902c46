"""Hypernetworks: keys and values are made of a changed context."""

import pytest
import torch

from atelier.base.errors import BadModelFile, ForbiddenPickle
from atelier.networks.hypernetworks import read_hypernetwork
from tests.networks.conftest import random, tags


def layers(width, structure=(1, 2, 1), seed=0, step=1, norm=False, old=False):
    """The tensors of one network as trainers write them; `step` is how many modules belong to a layer."""
    state = {}
    for i, (start, end) in enumerate(zip(structure, structure[1:])):
        name = f"linear{i + 1}" if old else f"linear.{i * step}"
        state[f"{name}.weight"] = random(width * end, width * start, seed=seed + i)
        state[f"{name}.bias"] = random(width * end, seed=seed + i)
        if norm:
            state[f"linear.{i * step + step - 1}.weight"] = 1 + random(width * end, seed=7)
            state[f"linear.{i * step + step - 1}.bias"] = random(width * end, seed=8)
    return state


@pytest.fixture
def put(paths):
    def write(name, value):
        path = paths.models / "hypernetworks" / f"{name}.pt"
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(value, path)
        return path

    return write


def test_plain_layers(put):
    state = layers(16)
    path = put("plain", {16: (state, layers(16, seed=5)), "step": 10, "name": "plain", "layer_structure": [1, 2, 1]})
    keys, values = read_hypernetwork(path, "plain", True).pairs[16]
    x = random(2, 16, size=1.0)
    hidden = x @ state["linear.0.weight"].T + state["linear.0.bias"]
    expected = hidden @ state["linear.1.weight"].T + state["linear.1.bias"]
    assert (keys(x) - expected).abs().max() < 1e-5 and not torch.equal(keys(x), values(x))


@pytest.mark.parametrize("last", [None, True, False])
def test_activation_norm_and_places_of_dropout(put, last):
    # linear, activation, norm, dropout: four places a layer
    state = layers(16, step=4)
    state |= {"linear.2.weight": 1 + random(32), "linear.2.bias": random(32, seed=1)}
    state |= {"linear.6.weight": 1 + random(16), "linear.6.bias": random(16, seed=1)}
    about = {"activation_func": "relu", "is_layer_norm": True, "use_dropout": True}
    if last is not None:
        about["activate_output"] = last
    keys, _ = read_hypernetwork(put("norm", {16: (state, state), **about}), "norm", True).pairs[16]
    x = random(2, 16, size=1.0)
    hidden = torch.relu(x @ state["linear.0.weight"].T + state["linear.0.bias"])
    hidden = torch.nn.functional.layer_norm(hidden, (32,), state["linear.2.weight"], state["linear.2.bias"])
    out = hidden @ state["linear.4.weight"].T + state["linear.4.bias"]
    out = out if last is False else torch.relu(out)
    expected = torch.nn.functional.layer_norm(out, (16,), state["linear.6.weight"], state["linear.6.bias"])
    assert (keys(x) - expected).abs().max() < 1e-5


def test_names_of_the_oldest_files(put):
    new, old = layers(16), layers(16, old=True)
    x = random(2, 16, size=1.0)
    found = [read_hypernetwork(put(n, {16: (s, s)}), n, True).pairs[16][0](x) for n, s in (("new", new), ("old", old))]
    assert torch.equal(*found)


@pytest.mark.parametrize("value", [
    {"step": 1}, [1, 2], {16: ({},)}, {16: ({"other": torch.zeros(2)}, {})},
    {16: (layers(8), layers(8))}, {16: (layers(16), layers(16)), "activation_func": "mystery"},
])  # fmt: skip
def test_other_files_are_refused(put, value):
    with pytest.raises(BadModelFile):
        read_hypernetwork(put("bad", value), "bad", True)


def test_pickles_need_the_setting(put):
    with pytest.raises(ForbiddenPickle):
        read_hypernetwork(put("h", {16: (layers(16), layers(16))}), "h")


def attend(model, x, context):
    """One attention layer of the denoiser, whose own width is 16 as that of the context."""
    layer = model.denoiser.down_blocks[0].attentions[0].transformer_blocks[0].attn2
    with torch.no_grad():
        return layer(x, encoder_hidden_states=context)


def test_keys_and_values_are_made_of_a_changed_context(model, networks, shelf, put):
    shelf.allow_pickle = True
    pair = (layers(16), layers(16, seed=3))
    path = put("face", {16: pair, "name": "face"})
    keys, values = read_hypernetwork(path, "face", True).pairs[16]
    x, context = random(1, 4, 16, size=1.0), random(1, 5, 16, seed=2, size=1.0)
    plain = attend(model, x, context)
    attn = model.denoiser.down_blocks[0].attentions[0].transformer_blocks[0].attn2
    seen = {}
    handles = [
        getattr(attn, name).register_forward_hook(lambda m, i, o, name=name: seen.update({name: o}))
        for name in ("to_k", "to_v")
    ]
    assert networks.apply(model, tags("<hypernet:face:0.5>")).comments == ()
    assert not torch.equal(attend(model, x, context), plain)
    with torch.no_grad():
        expected = {"to_k": attn.to_k.weight, "to_v": attn.to_v.weight}
        for name, net in (("to_k", keys), ("to_v", values)):
            assert (seen[name] - (context + 0.5 * net(context)) @ expected[name].T).abs().max() < 1e-5
        # Several follow each other.
        networks.apply(model, tags("<hypernet:face:0.5><hypernet:face:-1>"))
        attend(model, x, context)
        first = context + 0.5 * keys(context)
        assert (seen["to_k"] - (first - keys(first)) @ attn.to_k.weight.T).abs().max() < 1e-5
    networks.apply(model, ())
    assert torch.equal(attend(model, x, context), plain)
    for handle in handles:
        handle.remove()


def test_widths_of_other_models_and_unknown_names_are_told(model, networks, shelf, put):
    shelf.allow_pickle = True
    put("wide", {768: (layers(768, (1, 1)), layers(768, (1, 1)))})
    report = networks.apply(model, tags("<hypernet:wide><hypernet:none>"))
    assert "'none'" in report.comments[0] and "768" in report.comments[1] and "[16, 32]" in report.comments[1]
