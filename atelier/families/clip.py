"""Text encoders of CLIP's kind: texts -> vectors, with emphasis, clip skip and textual inversions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from transformers import CLIPTokenizer

from atelier.base.errors import BadRequest
from atelier.families.family import EMPHASIS_MODES, EncodeOptions
from atelier.families.ldm_config import ASSETS
from atelier.families.model import Model, place_of
from atelier.prompts.chunks import Chunk, ChunkedPrompt, EmbeddingIndex, Marks, chunk_prompt, empty_chunk, pad_chunks
from atelier.prompts.emphasis import Span, parse_emphasis
from atelier.sampling.conditioning import TextEncoding

MARKS = Marks(comma=267, bos=49406, eos=49407, pad=49407)
#: rows that go through the encoder at once: a prompt of any length needs bounded memory
ROWS = 64


def load_tokenizer() -> CLIPTokenizer:
    """The tokenizer of CLIP from the bundled vocabulary; nothing is downloaded."""
    folder = ASSETS / "clip"
    return CLIPTokenizer.from_pretrained(str(folder), local_files_only=True, model_max_length=77)


def tokenize_with(tokenizer: CLIPTokenizer) -> Callable[[str], list[int]]:
    """Text -> token ids, without BOS and EOS and without a limit."""

    def tokenize(text: str) -> list[int]:
        # Said outright, because the tokenizer remembers what an earlier caller asked for. Not verbose: it would warn
        # of long texts, which are cut into chunks here.
        found = tokenizer(text, add_special_tokens=False, truncation=False, padding=False, verbose=False)
        return found["input_ids"]

    return tokenize


@dataclass(frozen=True)
class Tower:
    """One text encoder, and how a family reads it.

    `layer` counts from 1, the last; with `normed` the vectors of an inner layer pass the last norm. `columns`, from and
    until, are the encoder's part of a textual inversion for several encoders.
    """

    module: nn.Module
    layer: int = 1
    normed: bool = True
    marks: Marks = MARKS
    columns: tuple[int, int | None] = (0, None)


def encode_texts(model: Model, texts: Sequence[str], options: EncodeOptions) -> list[TextEncoding]:
    """As `encode_tower`, by a model's one encoder, whose layer the option Clip skip chooses."""
    return encode_tower(model, Tower(model.text_encoder, options.clip_skip), texts, options)


def encode_tower(model: Model, tower: Tower, texts: Sequence[str], options: EncodeOptions) -> list[TextEncoding]:
    """One encoding per text, all of the same length: shorter texts get empty chunks. Vectors are float32.

    The texts of one schedule must come together: with emphasis "Original" the mean that is kept is taken over all of
    them, chunk by chunk. An encoder with a projection also gives the pooled vector, of the first chunk and without
    weights. Raises `BadRequest` for an unknown emphasis mode or an embedding that does not fit.
    """
    if options.emphasis not in EMPHASIS_MODES:
        raise BadRequest("emphasis", f"there is no mode {options.emphasis!r}.", remedy=f"Use one of {EMPHASIS_MODES}.")
    if not texts:
        return []
    prompts = chunk_texts(model, texts, options, tower.marks)
    encoder = _Encoder(tower, options.embeddings)
    columns, pooled = [], []
    for index in range(len(prompts[0].chunks)):
        chunks = [prompt.chunks[index] for prompt in prompts]
        hidden, first = encoder.encode(chunks)  # [texts, 77, C], [texts, P]
        columns.append(weighted(hidden, chunks, options.emphasis))
        pooled.append(first)
    vectors = torch.cat(columns, dim=1)  # [texts, chunks * 77, C]
    heads = [None] * len(texts) if pooled[0] is None else pooled[0]
    return [TextEncoding(vectors=row, pooled=head) for row, head in zip(vectors, heads, strict=True)]


def chunk_texts(
    model: Model, texts: Sequence[str], options: EncodeOptions, marks: Marks = MARKS
) -> list[ChunkedPrompt]:
    """The chunks of each text, padded to the same number."""
    tokenize = tokenize_with(model.tokenizer)
    index = EmbeddingIndex(((name, value.shape[0]) for name, value in options.embeddings.items()), tokenize)
    prompts = []
    for text in texts:
        spans = [Span(text, 1.0)] if options.emphasis == "None" else parse_emphasis(text)
        prompts.append(
            chunk_prompt(
                spans,
                tokenize,
                comma_token=marks.comma,
                bos=marks.bos,
                eos=marks.eos,
                pad=marks.pad,
                comma_backtrack=options.comma_backtrack,
                embeddings=index,
            )
        )
    longest = max(len(prompt.chunks) for prompt in prompts)
    empty = empty_chunk(marks.bos, marks.eos, marks.pad)
    return [pad_chunks(prompt, longest, empty) for prompt in prompts]


def weighted(hidden: torch.Tensor, chunks: Sequence[Chunk], mode: str) -> torch.Tensor:  # [N, 77, C] -> same
    """Emphasis on one chunk of every text. "Original" keeps the mean over the whole tensor, as A1111 does."""
    if mode not in ("Original", "No norm"):
        return hidden
    factors = torch.tensor([chunk.multipliers for chunk in chunks], dtype=hidden.dtype, device=hidden.device)
    if bool((factors == 1).all()):
        return hidden
    changed = hidden * factors[:, :, None]
    if mode == "No norm":
        return changed
    mean = changed.mean()
    # All weights 0 leave nothing whose mean could be restored.
    return changed if mean == 0 else changed * (hidden.mean() / mean)


@dataclass(frozen=True)
class _Encoder:
    """Rows of 77 tokens -> hidden states and pooled vectors; equal rows are computed once."""

    tower: Tower
    embeddings: Mapping[str, torch.Tensor]

    def encode(self, chunks: Sequence[Chunk]) -> tuple[torch.Tensor, torch.Tensor | None]:  # [N, 77, C], [N, P]
        keys = [(chunk.tokens, chunk.fixes) for chunk in chunks]
        order = {key: index for index, key in enumerate(dict.fromkeys(keys))}
        distinct = [chunks[keys.index(key)] for key in order]
        rows = [self._rows(distinct[start : start + ROWS]) for start in range(0, len(distinct), ROWS)]
        places = [order[key] for key in keys]
        hidden = torch.cat([row for row, _ in rows])[places]
        heads = [head for _, head in rows if head is not None]
        return hidden, torch.cat(heads)[places] if heads else None

    def _rows(self, chunks: Sequence[Chunk]) -> tuple[torch.Tensor, torch.Tensor | None]:
        tower, module = self.tower, self.tower.module
        device, _ = place_of(module)
        ids = torch.tensor([chunk.tokens for chunk in chunks], dtype=torch.long, device=device)
        with torch.no_grad(), self._embedded(chunks):
            output = module(input_ids=ids, output_hidden_states=True)
            pooled = getattr(output, "text_embeds", None)
            pooled = None if pooled is None else pooled.float()
            if tower.normed and tower.layer <= 1:
                return output.last_hidden_state.float(), pooled
            states = output.hidden_states
            hidden = states[-min(max(1, tower.layer), len(states))]
            if tower.normed:
                hidden = core_of(module).final_layer_norm(hidden)
            return hidden.float(), pooled

    @contextmanager
    def _embedded(self, chunks: Sequence[Chunk]) -> Iterator[None]:
        """While inside, the token embedding puts textual inversions in the places that the chunks name."""
        if not any(chunk.fixes for chunk in chunks):
            yield
            return

        def inject(_module: nn.Module, _inputs: object, output: torch.Tensor) -> torch.Tensor:
            output = output.clone()
            for row, chunk in enumerate(chunks):
                for fix in chunk.fixes:
                    vectors = self.embeddings[fix.name][:, slice(*self.tower.columns)].to(output)  # [v, C]
                    if vectors.shape[-1] != output.shape[-1]:
                        raise BadRequest(
                            "prompt.positive",
                            f"the embedding {fix.name!r} was made for another family of models.",
                            remedy="Take its name out of the prompt, or choose a model that it fits.",
                            embedding=fix.name,
                        )
                    # One further for BOS.
                    output[row, fix.offset + 1 : fix.offset + 1 + fix.vectors] = vectors
            return output

        handle = core_of(self.tower.module).embeddings.token_embedding.register_forward_hook(inject)
        try:
            yield
        finally:
            handle.remove()


def core_of(module: nn.Module) -> nn.Module:
    """The part of a CLIPTextModel that holds embeddings and layers: itself, or `text_model` in older transformers."""
    return getattr(module, "text_model", module)


def embedding_widths(model: Model) -> tuple[int, ...]:
    """C of the token embeddings of each of a model's encoders."""
    return tuple(embedding_width(encoder) for encoder in model.text_encoders)


def embedding_width(module: nn.Module) -> int:
    """C of the token embeddings, which a textual inversion must have."""
    return core_of(module).embeddings.token_embedding.weight.shape[1]
