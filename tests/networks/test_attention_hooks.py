"""Hooks on self-attention against diffusers' own code, and that they leave no trace."""

import pytest
import torch
from diffusers.models.attention_processor import PAGIdentitySelfAttnProcessor2_0

from atelier.base.errors import BadRequest
from atelier.networks.attention_hooks import (
    blurred_queries,
    grid_of,
    identity_attention,
    self_attentions,
    watched_attention,
)
from tests.sampling.cases import close
from tests.tiny import TinySizes, tiny_unet

X = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
TEXT = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(2))


@pytest.fixture(scope="module")
def unet():
    return tiny_unet(TinySizes(attention_resolutions=(1, 2, 4))).requires_grad_(False)


def run(unet, x=X, text=TEXT):
    return unet(x, torch.tensor([500.0]), encoder_hidden_states=text, return_dict=False)[0]


def test_layers_by_the_names_of_blocks(unet):
    assert len(self_attentions(unet, "mid", "f")) == 1
    assert len(self_attentions(unet, "mid, up.0 ,down.2", "f")) == 1 + 2 + 1
    for wrong in ("", " , ", "middle", "up.9", "down", "up.x", "mid;up.0"):
        with pytest.raises(BadRequest, match="f: .*mid") as error:
            self_attentions(unet, wrong, "f")
        assert "up.0" in error.value.remedy
    plain = tiny_unet(TinySizes(attention_resolutions=(1,)))
    with pytest.raises(BadRequest, match="down.1"):
        self_attentions(plain, "down.1", "f")


def test_identity_attention_is_that_of_diffusers(unet):
    layers = self_attentions(unet, "mid,up.0", "f")
    before = run(unet)
    with identity_attention(layers):
        ours = run(unet)
    kept = [attn.processor for attn in layers]
    for attn in layers:
        attn.set_processor(PAGIdentitySelfAttnProcessor2_0())
    theirs = run(unet, torch.cat([X, X]), torch.cat([TEXT, TEXT]))[2:]
    for attn, processor in zip(layers, kept):
        attn.set_processor(processor)
    close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(ours, before) and torch.equal(run(unet), before)


@pytest.mark.parametrize("sigma", [0.7, 1e6])
def test_blurred_queries(unet, sigma):
    attn = self_attentions(unet, "up.2", "f")[0]
    hidden = torch.randn(2, 64, attn.to_q.in_features)
    q, k, v = (layer(hidden) for layer in (attn.to_q, attn.to_k, attn.to_v))
    if sigma > 1000:
        q = q.mean(dim=1, keepdim=True).expand_as(q)
    else:
        distance = torch.arange(-2, 3, dtype=torch.float32)
        kernel = torch.exp(-0.5 * (distance / sigma) ** 2)
        kernel = kernel / kernel.sum()
        padded = torch.nn.functional.pad(q.transpose(1, 2).reshape(2, -1, 8, 8), [2] * 4, mode="reflect")
        rows = sum(kernel[i] * padded[:, :, i : i + 8] for i in range(5))
        q = sum(kernel[i] * rows[..., i : i + 8] for i in range(5)).flatten(2).transpose(1, 2)
    heads = [t.unflatten(-1, (attn.heads, -1)).transpose(1, 2) for t in (q, k, v)]
    out = (heads[0] @ heads[1].transpose(-1, -2) * attn.scale).softmax(-1) @ heads[2]
    wanted = attn.to_out[0](out.transpose(1, 2).flatten(2))
    plain = attn(hidden)
    with blurred_queries([attn], sigma, 8, 8):
        close(attn(hidden), wanted, rtol=1e-3, atol=1e-5)
    assert torch.equal(attn(hidden), plain)


def test_no_blur_is_no_change(unet):
    before = run(unet)
    with blurred_queries(self_attentions(unet, "mid", "f"), 0.0, 8, 8):
        assert torch.equal(run(unet), before)


def test_watched_attention_tells_what_each_place_receives(unet):
    attn = self_attentions(unet, "mid", "f")[0]
    before, inputs = run(unet), []
    handle = attn.register_forward_pre_hook(lambda attn, args: inputs.append(args[0]))
    with watched_attention(attn, 8, 8) as seen:
        assert torch.equal(run(unet), before)
    handle.remove()
    query, key = (attn.head_to_batch_dim(layer(inputs[0])) for layer in (attn.to_q, attn.to_k))
    scores = attn.get_attention_scores(query, key, None).reshape(2, attn.heads, 4, 4)
    close(seen[0], scores.mean(1).sum(1).reshape(2, 2, 2), rtol=1e-4)
    assert float(seen[0].mean()) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(
    ("tokens", "size", "grid"), [(64, (8, 8), (8, 8)), (6, (8, 12), (2, 3)), (35, (9, 13), (5, 7)), (5, (8, 8), None)]
)
def test_the_map_behind_a_number_of_tokens(tokens, size, grid):
    assert grid_of(tokens, *size) == grid
