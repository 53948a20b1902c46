"""OpenCLIP's tower, read from its own layout: same vectors as the original, refusals that name the tensor."""

from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from atelier.base.errors import BadModelFile
from atelier.checkpoints.fill import Source, build_empty, fill, match_tensors
from atelier.checkpoints.header import read_safetensors_header
from atelier.checkpoints.reader import open_weights
from atelier.families.clip import Tower, encode_tower, load_tokenizer, tokenize_with
from atelier.families.family import EncodeOptions
from atelier.families.openclip import OPEN_MARKS, openclip_component, openclip_config
from tests.tiny_openclip import OpenTower, as_transformers

PREFIX = "conditioner.embedders.1.model."


@pytest.fixture(scope="module")
def tower():
    return OpenTower(projection=12)


def stored(tower):
    return {PREFIX + name: value.detach().clone().contiguous() for name, value in tower.state_dict().items()}


def read(path, state, projection=True):
    save_file(state, str(path))
    header = read_safetensors_header(path)
    shapes = {name: info.shape for name, info in header.tensors.items()}
    component = openclip_component(shapes, "text_encoder", PREFIX, {"heads": 2}, projection)
    source = Source(path, header.tensors)
    module = build_empty(component, path)
    with open_weights(path) as weights:
        return fill(module, match_tensors(module, component, source), weights, torch.device("cpu"), torch.float32)


@pytest.fixture(scope="module")
def module(tower, tmp_path_factory):
    return read(tmp_path_factory.mktemp("openclip") / "tower.safetensors", stored(tower))


def row(text):
    ids = tokenize_with(load_tokenizer())(text)
    return [49406, *ids, 49407, *[0] * (75 - len(ids))]


def test_every_weight_is_where_transformers_wants_it(tower, module):
    expected = as_transformers(tower).state_dict()
    found = module.state_dict()
    assert set(found) == set(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_vectors_are_those_of_the_original(tower, module):
    tokens = torch.tensor([row("a red circle"), row("")])
    with torch.no_grad():
        states, pooled = tower(tokens)
        output = module(input_ids=tokens, output_hidden_states=True)
    assert torch.allclose(output.hidden_states[-2], states[-2], atol=1e-5)
    assert torch.allclose(output.last_hidden_state, tower.ln_final(states[-1]), atol=1e-5)
    assert torch.allclose(output.text_embeds, pooled, atol=1e-5) and pooled.shape == (2, 12)


def encoded(module, text, **how):
    model = SimpleNamespace(tokenizer=load_tokenizer())
    return encode_tower(model, Tower(module, marks=OPEN_MARKS, **how), [text], EncodeOptions())[0]


def test_a_tower_gives_the_layer_that_is_asked_for_and_the_pooled_vector_of_the_first_chunk(tower, module):
    with torch.no_grad():
        states, pooled = tower(torch.tensor([row("a red circle")]))
        normed = tower.ln_final(states[-2])[0]
    inner = encoded(module, "a red circle", layer=2, normed=False)
    assert torch.allclose(inner.vectors, states[-2][0], atol=1e-5)
    assert torch.allclose(inner.pooled, pooled[0], atol=1e-5)
    assert torch.allclose(encoded(module, "a red circle", layer=2).vectors, normed, atol=1e-5)
    assert torch.allclose(encoded(module, "a red circle", layer=1, normed=False).vectors, states[-1][0], atol=1e-5)
    # Neither weights nor a second chunk reach the pooled vector.
    long = encoded(module, "a (red:1.4) circle BREAK a blue square", layer=2, normed=False)
    assert long.vectors.shape == (154, 16) and torch.allclose(long.pooled, pooled[0], atol=1e-5)


def test_without_a_projection_there_is_no_pooled_vector(tower, tmp_path):
    plain = read(tmp_path / "plain.safetensors", stored(tower), projection=False)
    found = encoded(plain, "a red circle", layer=2)
    assert found.pooled is None and found.vectors.shape == (77, 16)


def test_sizes_of_the_published_towers_follow_from_their_shapes():
    def sizes(width, layers):
        shapes = {
            "token_embedding.weight": (49408, width), "positional_embedding": (77, width),
            "transformer.resblocks.0.mlp.c_fc.weight": (4 * width, width), "text_projection": (width, width),
            **{f"transformer.resblocks.{n}.ln_1.weight": (width,) for n in range(layers)},
        }  # fmt: skip
        config = openclip_config({PREFIX + k: v for k, v in shapes.items()}, PREFIX)
        return [config[k] for k in ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")]

    assert sizes(1280, 32) == [1280, 32, 20, 5120]
    assert sizes(1024, 24) == [1024, 24, 16, 4096]


def test_what_is_missing_or_does_not_fit_is_named(tower, tmp_path):
    state = stored(tower)
    fused = f"{PREFIX}transformer.resblocks.1.attn.in_proj_weight"
    with pytest.raises(BadModelFile, match=r"in_proj_weight is \[32, 16\], not \[48, 16\]"):
        read(tmp_path / "a.safetensors", {**state, fused: torch.zeros(32, 16)})
    with pytest.raises(BadModelFile, match="resblocks.1.attn.in_proj_weight"):
        read(tmp_path / "b.safetensors", {k: v for k, v in state.items() if k != fused})
    with pytest.raises(BadModelFile, match="token_embedding"):
        read(tmp_path / "c.safetensors", {k: v for k, v in state.items() if "token_embedding" not in k})
