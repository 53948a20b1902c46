"""CLIP: chunks, clip skip, emphasis and textual inversions, against plain calls of the module."""

from types import SimpleNamespace

import pytest
import torch

from atelier.base.errors import BadRequest
from atelier.families.clip import chunk_texts, core_of, encode_texts, load_tokenizer, tokenize_with
from atelier.families.family import EMPHASIS_MODES, EncodeOptions
from tests.tiny import tiny_text_encoder


@pytest.fixture(scope="module")
def model():
    return SimpleNamespace(text_encoder=tiny_text_encoder(), tokenizer=load_tokenizer())


def plain(model, text, layer=None):
    ids = model.tokenizer(text, padding="max_length", max_length=77, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        output = model.text_encoder(ids, output_hidden_states=True)
        if layer is None:
            return output.last_hidden_state[0]
        return core_of(model.text_encoder).final_layer_norm(output.hidden_states[layer])[0]


def vectors(model, *texts, **options):
    return [e.vectors for e in encode_texts(model, texts, EncodeOptions(**options))]


def test_the_bundled_vocabulary_gives_the_known_ids(model):
    tokenize = tokenize_with(model.tokenizer)
    assert tokenize("a photo of an astronaut riding a horse") == [320, 1125, 539, 550, 18376, 6765, 320, 4558]
    assert tokenize(",") == [267]
    assert tokenize("") == []
    assert (model.tokenizer.bos_token_id, model.tokenizer.eos_token_id) == (49406, 49407)
    assert len(tokenize("cat " * 500)) == 500


@pytest.mark.parametrize("text", ["a red circle", "", "two words, and a comma"])
def test_plain_text_is_what_the_module_gives(model, text):
    assert torch.allclose(vectors(model, text)[0], plain(model, text), atol=1e-5)


def test_clip_skip_takes_an_earlier_layer_through_the_final_norm(model):
    assert torch.allclose(vectors(model, "a cat", clip_skip=2)[0], plain(model, "a cat", layer=-2), atol=1e-5)
    assert not torch.allclose(vectors(model, "a cat", clip_skip=2)[0], vectors(model, "a cat")[0], atol=1e-3)
    # More than there are layers: the embeddings themselves, not an error.
    assert torch.allclose(vectors(model, "a cat", clip_skip=12)[0], plain(model, "a cat", layer=0), atol=1e-5)


def test_texts_of_a_schedule_have_one_length(model):
    short, long = vectors(model, "cat", "cat " * 100)
    assert short.shape == long.shape == (154, 16)
    assert torch.allclose(short[77:], plain(model, ""), atol=1e-5)
    assert torch.allclose(short[:77], plain(model, "cat"), atol=1e-5)


def test_break_begins_a_chunk(model):
    assert vectors(model, "a BREAK b")[0].shape == (154, 16)
    assert vectors(model, "a BREAK b", emphasis="None")[0].shape == (77, 16)


def test_original_emphasis_keeps_the_mean_over_all_texts_of_the_schedule(model):
    texts = ("a (red:1.5) circle", "a blue square")
    base = torch.stack(vectors(model, "a red circle", "a blue square"))
    factors = torch.ones(2, 77, 1)
    factors[0, 2] = 1.5  # BOS, "a", then "red"
    changed = base * factors
    expected = changed * (base.mean() / changed.mean())
    got = torch.stack(vectors(model, *texts))
    assert torch.allclose(got, expected, atol=1e-5)
    # The text without emphasis is touched too: the mean is shared.
    assert not torch.allclose(got[1], base[1], atol=1e-6)
    assert torch.allclose(torch.stack(vectors(model, *texts, emphasis="No norm")), changed, atol=1e-5)


def test_the_mean_is_kept_chunk_by_chunk(model):
    first, second = vectors(model, "(cat:2) BREAK dog")[0].split(77)
    assert torch.allclose(second, plain(model, "dog"), atol=1e-5)
    assert torch.allclose(first.mean(), plain(model, "cat").mean(), atol=1e-5)


def test_ignore_reads_the_brackets_and_forgets_the_weights(model):
    ignored = vectors(model, "a (red:1.5) circle", emphasis="Ignore")[0]
    assert torch.allclose(ignored, plain(model, "a red circle"), atol=1e-5)
    none = vectors(model, "a (red:1.5) circle", emphasis="None")[0]
    assert torch.allclose(none, plain(model, "a (red:1.5) circle"), atol=1e-5)


def test_weight_zero_everywhere_gives_numbers(model):
    assert torch.isfinite(vectors(model, "(a cat:0)")[0]).all()


def test_an_embedding_takes_the_place_of_its_name(model):
    tokenize = tokenize_with(model.tokenizer)
    table = core_of(model.text_encoder).embeddings.token_embedding.weight.detach()
    two = table[tokenize("red circle")]
    got = vectors(model, "a MyStyle here", embeddings={"mystyle": two})[0]
    assert torch.allclose(got, plain(model, "a red circle here"), atol=1e-5)
    # And leaves no trace.
    assert torch.allclose(vectors(model, "a mystyle here")[0], plain(model, "a mystyle here"), atol=1e-5)


def test_an_embedding_carries_the_weight_of_its_run(model):
    tokenize = tokenize_with(model.tokenizer)
    table = core_of(model.text_encoder).embeddings.token_embedding.weight.detach()
    options = EncodeOptions(embeddings={"mystyle": table[tokenize("red")]})
    chunk = chunk_texts(model, ["a (mystyle:1.5)"], options)[0].chunks[0]
    assert chunk.fixes[0].name == "mystyle" and chunk.multipliers[2] == 1.5
    got = encode_texts(model, ["a (mystyle:1.5)"], options)[0].vectors
    assert torch.allclose(got, vectors(model, "a (red:1.5)")[0], atol=1e-5)


def test_an_embedding_of_another_width_is_refused_by_name(model):
    with pytest.raises(BadRequest, match="wide"):
        vectors(model, "a wide picture", embeddings={"wide": torch.zeros(1, 768)})


def test_rows_beyond_one_batch_and_duplicates(model):
    texts = [f"number {i}" for i in range(70)] + ["number 3"]
    got = vectors(model, *texts)
    assert torch.equal(got[3], got[70])
    assert torch.allclose(got[69], plain(model, "number 69"), atol=1e-5)


def test_a_prompt_of_20000_characters_is_encoded(model):
    got = vectors(model, "a cat, " * 2900)[0]
    assert got.shape[0] % 77 == 0 and torch.isfinite(got).all()


def test_unknown_mode_and_no_texts(model):
    with pytest.raises(BadRequest, match="emphasis"):
        vectors(model, "a", emphasis="Strong")
    assert encode_texts(model, [], EncodeOptions()) == []
    assert set(EMPHASIS_MODES) == {"Original", "No norm", "Ignore", "None"}


def test_fingerprint_of_options_tells_embeddings_apart():
    one = EncodeOptions(embeddings={"x": torch.zeros(1, 16)})
    two = EncodeOptions(embeddings={"x": torch.ones(1, 16)})
    assert one.fingerprint != two.fingerprint
    assert EncodeOptions().fingerprint == EncodeOptions().fingerprint != EncodeOptions(clip_skip=2).fingerprint
