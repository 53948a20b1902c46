"""chunk_prompt against the recorded cases, with CLIP's own vocabulary."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import CLIPTokenizer

import atelier
from atelier.base.errors import BadRequest
from atelier.prompts.chunks import (
    ROOM,
    ChunkedPrompt,
    EmbeddingFix,
    EmbeddingIndex,
    chunk_prompt,
    empty_chunk,
    pad_chunks,
)
from atelier.prompts.emphasis import BREAK, Span, parse_emphasis
from tests.prompts.cases import cases

ASSETS = Path(atelier.__file__).parent / "families" / "assets" / "clip"
CLIP = {"comma_token": 267, "bos": 49406, "eos": 49407, "pad": 49407}

#: The reference leaves the embedding's mark in the chunk that its places have left, so that it overwrites padding
#: and zeros are encoded. Here the mark moves with the places.
CORRECTED = {"chunk-27": [[], [[0, "myemb", 4]]]}


@pytest.fixture(scope="module")
def tokenize():
    tokenizer = CLIPTokenizer(str(ASSETS / "vocab.json"), str(ASSETS / "merges.txt"))
    return lambda text: tokenizer(text, add_special_tokens=False, truncation=False, verbose=False)["input_ids"]


def letters(text: str) -> list[int]:
    """One id a character; a comma is 267."""
    return [267 if char == "," else ord(char) for char in text if char != " "]


def chunked(text: str, tokenize=letters, embeddings=(), **options) -> ChunkedPrompt:
    index = EmbeddingIndex(embeddings, tokenize) if embeddings else None
    return chunk_prompt(parse_emphasis(text), tokenize, **{**CLIP, **options}, embeddings=index)


@pytest.mark.parametrize("case", cases("chunk"))
def test_recorded(case: dict, tokenize) -> None:
    found = chunked(case["input"], tokenize, [tuple(entry) for entry in case["embeddings"]])
    expected = case["expect"]
    assert found.token_count == expected["token_count"]
    assert len(found.chunks) == expected["chunk_count"] == len(expected["chunks"])
    fixes = CORRECTED.get(case["id"], [chunk["fixes"] for chunk in expected["chunks"]])
    for chunk, wanted, marks in zip(found.chunks, expected["chunks"], fixes):
        content = list(chunk.tokens[1:76])
        assert chunk.used == wanted["n_tokens"]
        assert content[:6] == wanted["first"]
        assert content[: chunk.used][-4:] == wanted["last"]
        runs = [[weight, len(list(run))] for weight, run in groupby(chunk.multipliers[1 : chunk.used + 1])]
        assert [run[1] for run in runs] == [run[1] for run in wanted["multiplier_runs"]]
        assert [run[0] for run in runs] == pytest.approx([run[0] for run in wanted["multiplier_runs"]])
        assert [list(fix) for fix in chunk.fixes] == marks


def test_the_form_of_a_row() -> None:
    (chunk,) = chunked("(ab:1.5)", pad=0).chunks
    assert chunk.tokens == (49406, 97, 98, 49407, *[0] * 73)
    assert chunk.multipliers == (1.0, 1.5, 1.5, *[1.0] * 74)
    assert empty_chunk(49406, 49407, 0).tokens == (49406, 49407, *[0] * 75)


def test_no_backtrack() -> None:
    found = chunked("a" * 70 + "," + "b" * 10, comma_backtrack=0)
    assert [chunk.used for chunk in found.chunks] == [75, 6]


def test_an_embedding_that_fits_no_chunk() -> None:
    with pytest.raises(BadRequest) as caught:
        chunked("xy", embeddings=[("xy", 76)])
    assert caught.value.fields["embedding"] == "xy"


def test_a_large_embedding_that_nobody_names_is_no_trouble() -> None:
    assert chunked("a", embeddings=[("xy", 76), ("", 3)]).token_count == 1


def test_a_comma_inside_a_name_is_no_place_to_cut() -> None:
    found = chunked("a" * 70 + ",b" + "c" * 9, embeddings=[(",b", 3)])
    assert [chunk.used for chunk in found.chunks] == [75, 7]
    assert found.chunks[0].fixes == (EmbeddingFix(70, ",b", 3),)


def test_padding_with_empty_chunks() -> None:
    empty = empty_chunk(49406, 49407, 49407)
    found = pad_chunks(chunked("a"), 3, empty)
    assert len(found.chunks) == 3 and found.chunks[2] == empty
    assert pad_chunks(found, 1, empty) == found


SPANS = st.lists(
    st.one_of(st.just(BREAK), st.builds(Span, st.text(alphabet="ab,xy", max_size=60), st.floats(-2, 2))), max_size=12
)


@given(SPANS, st.integers(0, 74), st.integers(1, 75))
def test_nothing_is_lost(spans: list[Span], backtrack: int, vectors: int) -> None:
    index = EmbeddingIndex([("xy", vectors)], letters)
    found = chunk_prompt(spans, letters, **CLIP, comma_backtrack=backtrack, embeddings=index)
    texts = [span.text for span in spans if span != BREAK]
    plain = [token for text in texts for token in letters(text.replace("xy", ""))]
    tokens, marks = [], 0
    for chunk in found.chunks:
        assert len(chunk.tokens) == len(chunk.multipliers) == 77 and chunk.used <= ROOM
        content = list(chunk.tokens[1 : chunk.used + 1])
        places = {place for fix in chunk.fixes for place in range(fix.offset, fix.offset + fix.vectors)}
        assert places == {place for place, token in enumerate(content) if token == 0}
        tokens += [token for token in content if token]
        marks += len(chunk.fixes)
    assert tokens == plain
    assert marks == sum(text.count("xy") for text in texts)
    assert found.chunks and found.token_count >= len(plain)


def test_a_very_long_prompt() -> None:
    found = chunked("red fox, " * 2300)
    assert sum(chunk.used for chunk in found.chunks) == 7 * 2300
