"""Stable Diffusion XL under the names of A1111's model object, and its text conditions as callbacks see them."""

import pytest
import torch

from atelier.checkpoints.load import Placement, load_checkpoint
from atelier.checkpoints.shelf import CheckpointFile
from atelier.sampling.step import ModelInputs
from modules._host.old_model import ModelView, layers_of, told_vector
from modules._host.prompt_shapes import SdConditioning
from modules._host.text_conds import shown, taken
from tests.tiny_sdxl import POOLED, SPREAD, TinyXL, write_tiny_xl


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = write_tiny_xl(tmp_path_factory.mktemp("xl"), sizes=TinyXL())
    return load_checkpoint(
        CheckpointFile(path.name, path, "0" * 64, path.with_suffix(".yaml")), Placement(torch.device("cpu"))
    )


def test_the_model_says_what_it_is(model):
    view = ModelView(model)
    assert view.is_sdxl and not (view.is_sd1 or view.is_sd2 or view.is_sdxl_inpaint)
    first, second = view.conditioner.embedders
    assert first.transformer is model.text_encoder and second.transformer is model.text_encoder_2
    assert (first.id_pad, second.id_pad) == (49407, 0) and second.tokenize(["a cat"]) == first.tokenize(["a cat"])
    modules = {id(module) for module in layers_of(model)}
    assert id(model.text_encoder_2.text_model.final_layer_norm) in modules


def test_learned_conditioning_is_a_dictionary_with_the_size_in_it(model):
    texts = SdConditioning(["a cat", "a dog"], width=64, height=128)
    found = ModelView(model).get_learned_conditioning(texts)
    assert found["crossattn"].shape == (2, 77, 40) and found["vector"].shape == (2, POOLED + 6 * SPREAD)
    other = ModelView(model).get_learned_conditioning(SdConditioning(["a cat", "a dog"], width=64, height=64))
    assert torch.equal(found["vector"][:, :POOLED], other["vector"][:, :POOLED])
    assert not torch.equal(found["vector"], other["vector"])
    empty = ModelView(model).get_learned_conditioning(SdConditioning([""], is_negative_prompt=True))
    assert not empty["crossattn"].any() and not empty["vector"][:, :POOLED].any() and empty["vector"].any()


def test_the_vector_is_what_the_network_reads(model):
    seen = []
    handle = model.denoiser.add_embedding.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    pooled, sizes = torch.randn(1, POOLED), torch.tensor([[64.0, 64, 0, 8, 64, 64]])
    inputs = ModelInputs(
        torch.randn(1, 4, 8, 8), torch.tensor([5.0]), torch.randn(1, 77, 40), (), torch.ones(1),
        added={"pooled": pooled, "sizes": sizes},
    )  # fmt: skip
    with torch.no_grad():
        model.call_denoiser(inputs)
    handle.remove()
    assert torch.allclose(seen[0], told_vector(model, pooled, sizes), atol=1e-6)


def test_callbacks_may_change_both_parts(model):
    vectors, pooled, sizes = torch.randn(2, 77, 40), torch.randn(2, POOLED), torch.ones(2, 6)
    told = shown(model, vectors, pooled, list(sizes))
    assert told.shape == vectors.shape and told["vector"].shape == (2, POOLED + 6 * SPREAD)
    told["crossattn"], told["vector"] = told["crossattn"] * 2, told["vector"] * 3
    new_vectors, new_pooled = taken(told, pooled)
    assert torch.equal(new_vectors, vectors * 2) and torch.allclose(new_pooled, pooled * 3)
    # Of other families callbacks see a tensor.
    assert shown(model, vectors, None, []) is vectors and taken(vectors, None) == (vectors, None)
