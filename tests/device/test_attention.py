"""Which attention is chosen; that every kernel gives the same; that networks get their own back."""

from __future__ import annotations

import logging
import sys
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import AttnProcessor2_0
from torch import nn

from atelier.device import attention
from atelier.device.attention import (
    Attention,
    AttentionChoice,
    SlicedProcessor,
    XformersProcessor,
    choose_attention,
    processor_for,
    split_attention,
    xformers_trouble,
)
from tests.tiny import TinySizes, tiny_unet, tiny_vae

CPU, CARD = torch.device("cpu"), torch.device("cuda", 0)
FITS, MISSING = (lambda device: ""), (lambda device: "it cannot be imported")


@pytest.fixture(scope="module")
def unet():
    return tiny_unet()


@pytest.fixture(scope="module")
def vae():
    return tiny_vae()


def denoise(unet):
    generator = torch.Generator().manual_seed(3)
    x, context = torch.randn(2, 4, 16, 16, generator=generator), torch.randn(2, 77, 16, generator=generator)
    with torch.no_grad():
        return unet(x, torch.tensor([500, 500]), context, return_dict=False)[0]


def decode(vae):
    with torch.no_grad():
        return vae.decode(torch.randn(1, 4, 12, 8, generator=torch.Generator().manual_seed(4)), return_dict=False)[0]


# -- the choice


@pytest.mark.parametrize(("arguments", "setting", "kernel", "said"), [
    ({}, "Automatic", "sdpa", "default"),
    ({"opt_sdp_attention": True}, "Automatic", "sdpa", "--opt-sdp-attention"),
    ({"opt_split_attention": True}, "Automatic", "split", "--opt-split-attention"),
    ({"opt_sub_quad_attention": True}, "Automatic", "split", "--opt-sub-quad-attention"),
    ({"xformers": True}, "Automatic", "xformers", "--xformers"),
    ({"force_enable_xformers": True, "opt_split_attention": True}, "Automatic", "xformers", "--force-enable-xformers"),
    ({"xformers": True}, "sdp", "sdpa", "Settings"),
    ({"opt_sdp_attention": True}, "split", "split", "Settings"),
    ({}, "xformers", "xformers", "Settings"),
])  # fmt: skip
def test_the_setting_counts_before_the_command_line(arguments, setting, kernel, said):
    choice = choose_attention(arguments, setting, CARD, xformers=FITS)
    assert choice.kernel == kernel and said in choice.reason


def test_xformers_that_cannot_be_used_is_replaced_and_said():
    choice = choose_attention({"xformers": True}, "Automatic", CARD, xformers=MISSING)
    assert choice.kernel == "sdpa" and "--xformers" in choice.reason and "cannot be imported" in choice.reason


def test_float32_attention_is_not_left_to_xformers():
    choice = choose_attention({"xformers": True}, "Automatic", CARD, upcast=True, xformers=FITS)
    assert choice.kernel == "sdpa" and choice.upcast


def test_the_size_of_slices_and_a_ban_on_them():
    arguments = {"opt_sub_quad_attention": True, "sub_quad_q_chunk_size": 512}
    assert choose_attention(arguments, "Automatic", CPU).queries == 512
    assert choose_attention({"sub_quad_q_chunk_size": 512}, "split", CPU).queries == 0
    assert not choose_attention({"disable_opt_split_attention": True}, "Automatic", CPU).may_split


def test_xformers_needs_cuda_a_package_and_a_build_that_fits(monkeypatch):
    assert "needs CUDA" in xformers_trouble(CPU) and "needs CUDA" in xformers_trouble(torch.device("mps"))
    monkeypatch.setitem(sys.modules, "xformers.ops", None)
    assert "cannot be imported" in xformers_trouble(CARD)
    probed = []
    monkeypatch.setattr(torch, "zeros", lambda *shape, dtype, device: probed.append(device))
    monkeypatch.setitem(sys.modules, "xformers", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "xformers.ops", SimpleNamespace(memory_efficient_attention=lambda q, k, v: q))
    assert xformers_trouble(CARD) == "" and probed == [CARD]

    def refuse(q, k, v):
        raise NotImplementedError("No operator found for `memory_efficient_attention_forward`\nwith inputs ...")

    monkeypatch.setitem(sys.modules, "xformers.ops", SimpleNamespace(memory_efficient_attention=refuse))
    trouble = xformers_trouble(CARD)
    assert "does not fit" in trouble and "No operator" in trouble and "\n" not in trouble


# -- the same result


@pytest.mark.parametrize("queries", [1, 7, 64, 1000])
@pytest.mark.parametrize("mask_rows", [None, 1, 50])
def test_slices_together_are_the_whole(queries, mask_rows):
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 3, n, 8, generator=generator) for n in (50, 33, 33))
    mask = None if mask_rows is None else torch.randn(2, 3, mask_rows, 33, generator=generator)
    whole = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    assert torch.allclose(split_attention(q, k, v, mask, queries), whole, atol=1e-6)


def test_slices_are_as_large_as_their_bytes_allow(monkeypatch):
    seen = []
    own = F.scaled_dot_product_attention
    spy = lambda q, *a, **k: (seen.append(q.shape[2]), own(q, *a, **k))[1]  # noqa: E731
    monkeypatch.setattr(F, "scaled_dot_product_attention", spy)
    monkeypatch.setattr(attention, "SLICE_BYTES", 2 * 3 * 40 * 4 * 16)
    q = torch.randn(2, 3, 40, 8)
    split_attention(q, q, q)
    assert seen == [16, 16, 8]


@pytest.mark.parametrize("choice", [
    AttentionChoice("split", queries=5), AttentionChoice("split"), AttentionChoice("sdpa", upcast=True),
])  # fmt: skip
def test_networks_give_the_same_with_every_kernel(unet, vae, choice):
    noise, pixels = denoise(unet), decode(vae)
    device = Attention(choice)
    with device.using(unet), device.using(vae):
        assert kinds(unet) == kinds(vae) == {SlicedProcessor}
        assert torch.allclose(denoise(unet), noise, atol=1e-5) and torch.allclose(decode(vae), pixels, atol=1e-5)


def test_xformers_gives_the_same_and_leaves_wide_heads_to_torch(unet, monkeypatch):
    calls = []

    def fast(q, k, v, attn_bias=None, op=None, scale=None):  # [B * H, N, D]
        calls.append(q.shape)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=attn_bias, scale=scale)

    fake = SimpleNamespace(ops=SimpleNamespace(memory_efficient_attention=fast))
    monkeypatch.setattr("diffusers.models.attention_processor.xformers", fake)
    expected = denoise(unet)
    with Attention(AttentionChoice("xformers")).using(unet):
        assert torch.allclose(denoise(unet), expected, atol=1e-5)
        assert len(calls) == len(unet.attn_processors)
        monkeypatch.setattr(XformersProcessor, "WIDEST", 1)
        assert torch.allclose(denoise(unet), expected, atol=1e-5) and len(calls) == len(unet.attn_processors)


def test_half_precision_attends_in_float32_when_asked(monkeypatch):
    seen = set()
    own = F.scaled_dot_product_attention
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda q, *a, **k: (seen.add(q.dtype), own(q, *a, **k))[1])
    unet = tiny_unet().bfloat16()
    inputs = torch.ones(1, 4, 8, 8).bfloat16(), torch.tensor([5]), torch.ones(1, 77, 16).bfloat16()
    with torch.no_grad(), Attention(AttentionChoice(upcast=True)).using(unet):
        assert unet(*inputs, return_dict=False)[0].dtype == torch.bfloat16
    assert seen == {torch.float32}


# -- given and taken back


def kinds(module):
    return {type(p) for p in module.attn_processors.values()}


@pytest.mark.parametrize(("asked", "dtype", "kernel", "precise"), [
    (True, torch.float16, "sdpa", True), (True, torch.float16, "xformers", True), (True, torch.bfloat16, "sdpa", False),
    (True, torch.float32, "sdpa", False), (False, torch.float16, "sdpa", False),
])  # fmt: skip
def test_networks_that_overflow_in_half_precision_attend_in_float32(asked, dtype, kernel, precise):
    unet = tiny_unet(TinySizes(unet_extra={"upcast_attention": asked})).to(dtype)
    device = Attention(AttentionChoice(kernel))
    with device.using(unet):
        processors = list(unet.attn_processors.values())
        assert all(getattr(p, "upcast", False) == precise for p in processors)
    assert kinds(unet) == {AttnProcessor2_0}


def test_torchs_own_attention_changes_nothing(unet):
    before = dict(unet.attn_processors)
    assert processor_for(AttentionChoice()) is None
    with Attention().using(unet):
        assert unet.attn_processors == before


def test_what_was_there_comes_back_also_after_a_failure(unet):
    before = dict(unet.attn_processors)
    device = Attention(AttentionChoice("split"))
    with pytest.raises(RuntimeError), device.using(unet):
        assert kinds(unet) == {SlicedProcessor}
        raise RuntimeError
    assert unet.attn_processors == before


def test_blocks_inside_of_each_other_give_back_once(unet):
    device = Attention(AttentionChoice("split"))
    with device.using(unet):
        with device.using(unet):
            pass
        assert kinds(unet) == {SlicedProcessor}
    assert kinds(unet) == {AttnProcessor2_0}


def test_what_an_extension_brought_stays(unet):
    class Adapter(AttnProcessor2_0):
        pass

    before = dict(unet.attn_processors)
    name = next(iter(before))
    unet.set_attn_processor({**before, name: Adapter()})
    with Attention(AttentionChoice("split")).using(unet):
        assert type(unet.attn_processors[name]) is Adapter and kinds(unet) == {Adapter, SlicedProcessor}
    assert kinds(unet) == {Adapter, AttnProcessor2_0}
    unet.set_attn_processor(before)


def test_networks_without_such_layers_are_left_alone():
    with Attention(AttentionChoice("split")).using(nn.Linear(2, 2)):
        pass


def test_splitting_reaches_networks_at_work_and_ends_with_the_job(unet):
    device = Attention()
    expected = denoise(unet)
    with device.using(unet):
        assert device.split() and not device.split()
        assert kinds(unet) == {SlicedProcessor} and device.choice.kernel == "split" and device.chosen.kernel == "sdpa"
        assert torch.allclose(denoise(unet), expected, atol=1e-5)
    assert kinds(unet) == {AttnProcessor2_0}
    with device.using(unet):
        assert kinds(unet) == {SlicedProcessor}
    device.begin_job()
    assert device.choice == AttentionChoice() and device.split()


def test_splitting_can_be_forbidden():
    assert not Attention(AttentionChoice(may_split=False)).split()
    assert not Attention(AttentionChoice("split")).split()


def test_a_new_choice_is_logged_once(caplog):
    device = Attention()
    with caplog.at_level(logging.INFO, "atelier"):
        device.choose(AttentionChoice("split", "chosen in Settings (split)"))
        device.choose(AttentionChoice("split", "chosen in Settings (split)"))
    said = [r.getMessage() for r in caplog.records]
    assert len(said) == 1 and "kernel=split" in said[0] and device.choice.kernel == "split"
