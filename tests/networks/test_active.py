"""Networks in force: applied once, in any number, and gone without a trace."""

from dataclasses import replace

import pytest
import torch

from atelier.networks import active as active_module
from atelier.networks.forms import weight_delta
from tests.networks import formulas
from tests.networks.conftest import (
    ATTENTION,
    KEY,
    LAYER,
    TEXT_KEY,
    changed,
    open_tiny,
    plain_lora,
    random,
    states,
    tags,
    text_layer,
)  # fmt: skip
from tests.tiny import TinySizes


def weight(model, name=LAYER):
    return model.denoiser.get_submodule(name).weight.detach()


def close(a, b):
    return (a.double() - torch.as_tensor(b).double()).abs().max() < 1e-5


def lora_change(tensors, key, alpha):
    up, down = (tensors[f"{key}.lora_{side}.weight"].double().numpy() for side in ("up", "down"))
    return torch.tensor(formulas.lora(up, down, alpha))


def test_both_parts_are_changed_by_formula_and_come_back(model, networks, write):
    tensors = plain_lora(model)
    write("style", tensors)
    before = states(model)
    report = networks.apply(model, tags("<lora:style:0.5:2>"))
    assert report.comments == () and [name for name, _ in report.files] == ["style"]
    assert close(weight(model), before[f"unet.{LAYER}.weight"] + 2 * lora_change(tensors, KEY, 2.0))
    old = next(v for name, v in before.items() if name.endswith("layers.0.self_attn.q_proj.weight"))
    assert close(text_layer(model).weight, old + 0.5 * lora_change(tensors, TEXT_KEY, 1.5))
    assert len(changed(before, states(model))) == 2
    networks.apply(model, ())
    assert changed(before, states(model)) == set()


def test_negative_and_zero_weights(model, networks, write):
    tensors = plain_lora(model)
    write("style", tensors)
    before = states(model)
    networks.apply(model, tags("<lora:style:0:-1>"))
    assert close(weight(model), before[f"unet.{LAYER}.weight"] - lora_change(tensors, KEY, 2.0))
    assert changed(before, states(model)) == {f"unet.{LAYER}.weight"}
    networks.apply(model, tags("<lora:style:0>"))
    assert changed(before, states(model)) == set()


def test_several_at_once_and_in_other_strengths(model, networks, write):
    one, two = plain_lora(model), plain_lora(model, seed=20, rank=5)
    write("one", one)
    write("two", two)
    before = weight(model).clone()
    networks.apply(model, tags("<lora:one:1:0.7><lora:two:0:-0.4>"))
    expected = before + 0.7 * lora_change(one, KEY, 2.0) - 0.4 * lora_change(two, KEY, 2.0)
    assert close(weight(model), expected)
    networks.apply(model, tags("<lora:two>"))
    assert close(weight(model), before + lora_change(two, KEY, 2.0))


def test_forms_that_need_the_weight_see_what_came_before(model, networks, write):
    tensors = plain_lora(model)
    write("style", tensors)
    factor = random(weight(model).shape[1], size=1.0)
    write("columns", {f"{KEY}.weight": factor, f"{KEY}.on_input": torch.tensor(True)})
    before = weight(model).clone()
    networks.apply(model, tags("<lora:style><lora:columns:0.5>"))
    first = before + lora_change(tensors, KEY, 2.0)
    assert close(weight(model), first * (1 + 0.5 * factor.double()))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_weights_are_calculated_in_float32_and_come_back(tmp_path, networks, write, dtype):
    model = open_tiny(tmp_path / "half", dtype)
    tensors = plain_lora(model)
    write("style", tensors)
    before = states(model)
    networks.apply(model, tags("<lora:style:0.3>"))
    expected = before[f"unet.{LAYER}.weight"].double() + 0.3 * lora_change(tensors, KEY, 2.0)
    assert weight(model).dtype == dtype and torch.equal(weight(model), expected.float().to(dtype))
    for _ in range(5):
        networks.apply(model, tags("<lora:style:-0.7>"))
        networks.apply(model, tags("<lora:style:0.3>"))
    assert torch.equal(weight(model), expected.float().to(dtype))
    networks.restore(model)
    assert changed(before, states(model)) == set()


def test_equal_tags_are_not_applied_again(model, networks, write, monkeypatch):
    write("style", plain_lora(model))
    counts = []
    real = active_module.put_layers
    monkeypatch.setattr(active_module, "put_layers", lambda *args: counts.append(1) or real(*args))
    networks.apply(model, tags("<lora:style:1:0.5>"))
    assert len(counts) == 2  # the denoiser and the text encoder
    report = networks.apply(model, tags("<lora:style:1:0.5>"))
    assert len(counts) == 2 and [name for name, _ in report.files] == ["style"]
    # Only the denoiser's strength is another one: the text encoder keeps what it has.
    networks.apply(model, tags("<lora:style:1:0.6>"))
    assert len(counts) == 3


def test_a_file_that_was_replaced_is_read_again(model, networks, write):
    write("style", plain_lora(model))
    before = weight(model).clone()
    networks.apply(model, tags("<lora:style>"))
    other = plain_lora(model, seed=50, rank=4)
    write("style", other)
    networks.apply(model, tags("<lora:style>"))
    assert close(weight(model), before + lora_change(other, KEY, 2.0))


def test_encodings_are_told_apart(model, networks, write):
    write("style", plain_lora(model))
    plain = networks.text_key(model)
    networks.apply(model, tags("<lora:style:0.5>"))
    half = networks.text_key(model)
    networks.apply(model, tags("<lora:style:1:0.5>"))
    assert len({plain, half, networks.text_key(model)}) == 3
    networks.apply(model, tags("<lora:style:1:0.7>"))
    assert networks.text_key(model) != half
    networks.apply(model, tags("<lora:style:0:1>"))
    assert not any(networks.text_key(model))


def test_biases_norms_and_convolutions(model, networks, write):
    conv, norm = "down_blocks.0.resnets.0.conv1", "down_blocks.0.resnets.0.norm1"
    out = weight(model, conv).shape[0]
    bias = random(out, seed=1)
    kernel = random(*weight(model, conv).shape, seed=2)
    tensors = {
        "lora_unet_input_blocks_1_0_in_layers_2.diff": kernel, "lora_unet_input_blocks_1_0_in_layers_2.diff_b": bias,
        "lora_unet_down_blocks_0_resnets_0_norm1.w_norm": random(16),
        "lora_unet_down_blocks_0_resnets_0_norm1.b_norm": random(16, seed=1),
        f"{KEY}.diff_b": random(weight(model).shape[0], seed=4),
    }  # fmt: skip
    write("whole", tensors)
    before = states(model)
    assert networks.apply(model, tags("<lora:whole:0.5>")).comments == ()
    found = states(model)
    assert close(found[f"unet.{conv}.weight"], before[f"unet.{conv}.weight"] + 0.5 * kernel)
    assert close(found[f"unet.{conv}.bias"], before[f"unet.{conv}.bias"] + 0.5 * bias)
    assert close(found[f"unet.{norm}.weight"], before[f"unet.{norm}.weight"] + 0.5 * random(16))
    # A layer without a bias has one while the network is in force.
    assert close(model.denoiser.get_submodule(LAYER).bias, 0.5 * tensors[f"{KEY}.diff_b"])
    networks.restore(model)
    assert changed(before, states(model)) == set() and model.denoiser.get_submodule(LAYER).bias is None


def test_joined_projections_of_open_clip(model, networks, write):
    up, down = random(48, 3), random(3, 16)
    write("joined", {
        "lora_te_model_transformer_resblocks_0_attn_in_proj.lora_up.weight": up,
        "lora_te_model_transformer_resblocks_0_attn_in_proj.lora_down.weight": down,
    })  # fmt: skip
    named = list(model.text_encoder.named_modules())
    layers = [next(m for n, m in named if n.endswith(f"0.self_attn.{x}_proj")) for x in "qkv"]
    before = [layer.weight.detach().clone() for layer in layers]
    networks.apply(model, tags("<lora:joined>"))
    for index, layer in enumerate(layers):
        assert close(layer.weight, before[index] + (up @ down)[index * 16 : index * 16 + 16])


def test_joined_projections_beside_a_network_that_has_one_of_them(model, networks, write):
    """Both changes are there, in either order."""
    up, down, one, two = random(48, 3), random(3, 16), random(16, 2, seed=1), random(2, 16, seed=2)
    write("joined", {
        "lora_te_model_transformer_resblocks_0_attn_in_proj.lora_up.weight": up,
        "lora_te_model_transformer_resblocks_0_attn_in_proj.lora_down.weight": down,
    })  # fmt: skip
    write("alone", {
        "lora_te_text_model_encoder_layers_0_self_attn_k_proj.lora_up.weight": one,
        "lora_te_text_model_encoder_layers_0_self_attn_k_proj.lora_down.weight": two,
    })  # fmt: skip
    layer = next(m for n, m in model.text_encoder.named_modules() if n.endswith("0.self_attn.k_proj"))
    before = layer.weight.detach().clone()
    for text in ("<lora:joined><lora:alone>", "<lora:alone><lora:joined>"):
        networks.apply(model, tags(text))
        assert close(layer.weight, before + (up @ down)[16:32] + one @ two)
        networks.restore(model)
        assert torch.equal(layer.weight, before)


@pytest.mark.parametrize("kind", ["lora", "full", "rows"])
def test_the_first_layer_of_an_inpainting_model_is_padded(tmp_path, networks, write, kind):
    model = open_tiny(tmp_path / "nine", sizes=TinySizes(in_channels=9))
    first = weight(model, "conv_in").clone()
    assert first.shape[1] == 9
    key = "lora_unet_conv_in"
    if kind == "lora":
        up, down = random(16, 2, 1, 1), random(2, 4, 3, 3)
        tensors = {f"{key}.lora_up.weight": up, f"{key}.lora_down.weight": down}
        added = (up.flatten(1) @ down.flatten(1)).reshape(16, 4, 3, 3)
    elif kind == "full":
        added = random(16, 4, 3, 3)
        tensors = {f"{key}.diff": added}
    else:
        # What fits the layer as it is needs no padding.
        tensors = {f"{key}.weight": random(16), f"{key}.on_input": torch.tensor(False)}
        added = None
    write("first", tensors)
    assert networks.apply(model, tags("<lora:first:0.5>")).comments == ()
    expected = first.clone()
    if added is None:
        expected = expected * (1 + 0.5 * random(16).reshape(-1, 1, 1, 1))
    else:
        expected[:, :4] += 0.5 * added
    assert close(weight(model, "conv_in"), expected)


def test_weights_by_block(model, networks, write):
    out_layer = "up_blocks.0.resnets.0.conv1"
    kernel = random(*weight(model, out_layer).shape, seed=2)
    tensors = {**plain_lora(model), "lora_unet_up_blocks_0_resnets_0_conv1.diff": kernel}
    write("style", tensors)
    before = states(model)
    values = ["1"] * 26
    values[0], values[2], values[14] = "0", "0.25", "0.5"  # BASE, IN01, OUT00
    networks.apply(model, tags(f"<lora:style:2:lbw={','.join(values)}>"))
    found = states(model)
    change = lora_change(tensors, KEY, 2.0)
    assert close(found[f"unet.{LAYER}.weight"], before[f"unet.{LAYER}.weight"] + 2 * 0.25 * change)
    assert close(found[f"unet.{out_layer}.weight"], before[f"unet.{out_layer}.weight"] + 2 * 0.5 * kernel)
    assert not any(name.startswith("text") for name in changed(before, found))


def test_dyn_keeps_the_first_ranks(model, networks, write):
    tensors = plain_lora(model)
    write("style", tensors)
    before = weight(model).clone()
    networks.apply(model, tags("<lora:style:1:1:2>"))
    up, down = tensors[f"{KEY}.lora_up.weight"][:, :2], tensors[f"{KEY}.lora_down.weight"][:2]
    assert close(weight(model), before + up @ down * 2.0 / 3)


def test_spellings_of_one_network_are_the_same(model, networks, write):
    tensors = plain_lora(model)
    up, down = tensors[f"{KEY}.lora_up.weight"], tensors[f"{KEY}.lora_down.weight"]
    ldm = "input_blocks.1.1.transformer_blocks.0.attn1.to_q"
    spellings = {
        "kohya-ldm": tuple(f"lora_unet_{ldm.replace('.', '_')}.lora_{side}.weight" for side in ("up", "down")),
        "peft": (f"base_model.model.{LAYER}.lora_B.weight", f"base_model.model.{LAYER}.lora_A.weight"),
        "diffusers": (f"unet.{LAYER}.lora_B.weight", f"unet.{LAYER}.lora_A.weight"),
        "processor": (f"unet.{ATTENTION}.attn1.processor.to_q_lora.up.weight",
                      f"unet.{ATTENTION}.attn1.processor.to_q_lora.down.weight"),
        "comfy": (f"diffusion_model.{ldm}.lora_up.weight", f"diffusion_model.{ldm}.lora_down.weight"),
    }  # fmt: skip
    before = weight(model).clone()
    for name, (up_key, down_key) in spellings.items():
        write(name, {up_key: up, down_key: down})
        assert networks.apply(model, tags(f"<lora:{name}>")).comments == ()
        assert close(weight(model), before + up @ down), name


def test_unknown_names_and_damaged_files_are_told(model, networks, write, paths):
    write("style", plain_lora(model))
    (paths.models / "Lora" / "cut.safetensors").write_bytes(b"\x10")
    before = weight(model).clone()
    report = networks.apply(model, tags("<lora:styl><lora:cut><lora:style>"))
    assert len(report.comments) == 2 and "'styl'" in report.comments[0] and "style" in report.comments[0]
    assert "cut.safetensors" in report.comments[1]
    assert not torch.equal(weight(model), before)
    # They are told again for the next batch, and the rest stays as it is.
    assert networks.apply(model, tags("<lora:styl><lora:cut><lora:style>")).comments == report.comments


def test_a_weight_that_is_no_number_takes_its_kind_with_it(model, networks, write):
    write("style", plain_lora(model))
    before = states(model)
    report = networks.apply(model, tags("<lora:style><lora:style:much>"))
    assert changed(before, states(model)) == set()
    assert len(report.comments) == 1 and "much" in report.comments[0]


@pytest.mark.parametrize(("metadata", "told"), [
    ({"ss_base_model_version": "sdxl_base_v1-0"}, "sdxl"), ({"modelspec.architecture": "Flux-1-dev/lora"}, "flux"),
    ({"ss_v2": "True"}, "sd2"),
])  # fmt: skip
def test_networks_of_other_families_are_left_out(model, networks, write, metadata, told):
    write("other", plain_lora(model), metadata)
    before = states(model)
    report = networks.apply(model, tags("<lora:other>"))
    assert changed(before, states(model)) == set() and report.files == ()
    assert f"family {told}" in report.comments[0] and "sd1" in report.comments[0]


def test_layers_that_do_not_fit_are_told_and_the_rest_is_used(model, networks, write):
    tensors = plain_lora(model)
    write("mixed", {
        **tensors, "lora_unet_nowhere.diff": random(3, 3),
        "lora_unet_conv_out.lora_up.weight": random(7, 2), "lora_unet_conv_out.lora_down.weight": random(2, 9),
        "lora_unet_conv_in.hada_w1_a": random(16, 2), "lora_unet_mid_block_attentions_0_norm.diff_b": random(5),
    })  # fmt: skip
    before = states(model)
    report = networks.apply(model, tags("<lora:mixed>"))
    assert len(changed(before, states(model))) == 2 and [name for name, _ in report.files] == ["mixed"]
    text = " ".join(report.comments)
    assert "nowhere" in text and "conv_in: its tensors hada_w1_a" in text and "3 of 5 layers" in text
    networks.restore(model)
    assert changed(before, states(model)) == set()


def test_a_file_for_something_else_is_told(model, networks, write):
    write("nothing", {"some.layer.lora_up.weight": random(3, 2), "some.layer.lora_down.weight": random(2, 3)})
    write("lllite", {"lllite_unet_x.lora_up.weight": random(3, 2)})
    write("tensors", {"step": random(1)})
    report = networks.apply(model, tags("<lora:nothing><lora:lllite><lora:tensors>"))
    assert report.files == () and len(report.comments) == 3
    assert "ControlNet" in report.comments[0] and "none of its tensors" in report.comments[1]
    assert "none of its layers" in report.comments[2]


def test_a_failure_leaves_the_model_as_it_was_loaded(model, networks, write, monkeypatch):
    write("style", plain_lora(model))
    before = states(model)

    def fails(*args):
        raise MemoryError("out of memory")

    monkeypatch.setattr(active_module, "told", fails)
    with pytest.raises(MemoryError):
        networks.apply(model, tags("<lora:style>"))
    assert changed(before, states(model)) == set() and networks.tags_of(model) == ((), False)


def test_another_vae_shares_the_weights_and_the_networks(model, networks, write):
    write("style", plain_lora(model))
    before = states(model)
    networks.apply(model, tags("<lora:style>"))
    twin = replace(model)
    assert networks.text_key(twin) == networks.text_key(model)
    networks.restore(twin)
    assert changed(before, states(model)) == set()


def test_bundled_embeddings_are_there_while_the_network_is(model, networks, write):
    rows = random(2, 16)
    write("world", {
        **plain_lora(model), "bundle_emb.hero.emb_params": rows, "bundle_emb.old.string_to_param.*": rows[0].clone(),
        "bundle_emb.wide.clip_l": random(2, 768), "bundle_emb.wide.clip_g": random(2, 1280),
    })  # fmt: skip
    report = networks.apply(model, tags("<lora:world>"))
    found = networks.embeddings(model)
    assert set(found) == set(report.bundled) == {"hero", "old"}
    assert torch.equal(found["hero"], rows) and torch.equal(found["old"], rows[:1])
    assert len(report.comments) == 1 and "'wide'" in report.comments[0]
    networks.apply(model, ())
    assert not networks.embeddings(model)


def test_strengths_over_time_ride_along(model, networks, write):
    tensors = plain_lora(model)
    tensors |= {"lora_unet_conv_in.diff": random(16, 4, 3, 3), "lora_unet_conv_in.diff_b": random(16)}
    write("style", tensors)
    before = states(model)
    latents, context = random(1, 4, 8, 8, size=1.0), random(1, 5, 16, size=1.0)

    def out():
        with torch.no_grad():
            return model.denoiser(latents, torch.tensor([10.0]), encoder_hidden_states=context).sample

    plain = out()
    steady = {}
    for strength in (0.0, 0.5, 1.0):
        networks.apply(model, tags(f"<lora:style:{strength}>"))
        steady[strength] = out()
    networks.apply(model, tags("<lora:style:te=0:unet=0@0,1@1>"))
    assert changed(before, states(model)) == set()
    for call, strength in enumerate((0.0, 0.5, 1.0)):
        networks.at(model, call, 3, 3)
        assert (out() - steady[strength]).abs().max() < 1e-5
    assert (steady[1.0] - plain).abs().max() > 1e-3
    # Applying the same again keeps the hooks and their strengths together.
    networks.apply(model, tags("<lora:style:te=0:unet=0@0,1@1>"))
    networks.at(model, 0, 3, 3)
    assert torch.equal(out(), plain)
    networks.restore(model)
    assert torch.equal(out(), plain) and not model.denoiser.conv_in._forward_hooks


def test_what_rides_on_a_changed_weight_is_calculated_from_it(model, networks, write):
    tensors = plain_lora(model)
    write("style", tensors)
    factor = random(weight(model).shape[0], size=1.0)
    rows = {f"{KEY}.weight": factor, f"{KEY}.on_input": torch.tensor(False)}
    write("rows", rows)
    networks.apply(model, tags("<lora:style><lora:rows:step=1-2>"))
    networks.at(model, 0, 4, 4)
    layer, x = model.denoiser.get_submodule(LAYER), random(1, 3, 16, size=1.0)
    expected = x @ (weight(model) + weight_delta(rows_parts(rows), weight(model))).T
    assert (layer(x) - expected).abs().max() < 1e-5
    networks.at(model, 3, 4, 4)
    assert (layer(x) - x @ weight(model).T).abs().max() < 1e-6


def rows_parts(tensors):
    return {name.rsplit(".", 1)[1]: tensor for name, tensor in tensors.items()}


def test_weights_of_eight_bits_are_not_rounded_again(model, networks, write):
    """The change is added beside the layer. The layer itself is told by its host to work in float32."""
    tensors = plain_lora(model)
    write("style", tensors)
    layer = model.denoiser.get_submodule(LAYER)
    small = layer.weight.data.to(torch.float8_e4m3fn)
    layer.weight.data = small
    assert networks.apply(model, tags("<lora:style:0:1>")).comments == ()
    assert layer.weight.dtype == torch.float8_e4m3fn
    layer.weight.data = small.float()
    x = random(2, 3, 16, size=1.0)
    assert (layer(x) - x @ (small.float() + lora_change(tensors, KEY, 2.0).float()).T).abs().max() < 1e-5
    networks.restore(model)
    assert (layer(x) - x @ small.float().T).abs().max() < 1e-6


def test_files_out_of_use_leave_memory(model, networks, write):
    for name in ("a", "b", "c"):
        write(name, plain_lora(model))
    for name in ("a", "b", "c"):
        networks.apply(model, tags(f"<lora:{name}>"), spare=1)
    assert [path.stem for path in networks._open] == ["b", "c"]
    networks.apply(model, ())
    assert not networks._open
