"""Chunks: weighted spans as rows of 77 token ids for a text encoder of CLIP's kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from atelier.base.errors import BadRequest
from atelier.prompts.emphasis import BREAK, Span

ROOM = 75

Tokenize = Callable[[str], list[int]]


class EmbeddingFix(NamedTuple):
    """Embedding `name` replaces `vectors` token embeddings from content position `offset`.

    `offset` counts from 0 without BOS: in the row of 77 the first replaced position is `offset + 1`.
    """

    offset: int
    name: str
    vectors: int


@dataclass(frozen=True)
class Chunk:
    """One row for the encoder: 77 ids and 77 factors.

    `tokens` is BOS, `used` content tokens, EOS, padding. `multipliers` is 1 outside the content. Places of an
    embedding hold id 0.
    """

    tokens: tuple[int, ...]  # [77]
    multipliers: tuple[float, ...]  # [77]
    fixes: tuple[EmbeddingFix, ...]
    used: int


@dataclass(frozen=True)
class ChunkedPrompt:
    """At least one chunk. `token_count` is 75 for each closed chunk and what the last one holds."""

    chunks: tuple[Chunk, ...]
    token_count: int


class Marks(NamedTuple):
    """The vocabulary's ids with a meaning: comma, begin, end, and what fills a row after its end.

    CLIP: comma 267, bos 49406, eos 49407. `pad` is eos for SD1 and SDXL's first encoder, 0 for SD2 and SDXL's
    second.
    """

    comma: int
    bos: int
    eos: int
    pad: int


class EmbeddingIndex:
    """Textual inversions by the token ids of their names: the longest name that fits a position wins."""

    def __init__(self, entries: Iterable[tuple[str, int]], tokenize: Tokenize) -> None:
        """`entries` are names and vector counts; names without any token are left out."""
        self._by_first: dict[int, list[tuple[tuple[int, ...], str, int]]] = {}
        for name, vectors in entries:
            ids = tuple(tokenize(name))
            if ids:
                self._by_first.setdefault(ids[0], []).append((ids, name, vectors))
        for found in self._by_first.values():
            found.sort(key=lambda entry: -len(entry[0]))

    def find(self, tokens: Sequence[int], position: int) -> tuple[str, int, int] | None:
        """Name, vectors and length in tokens of the embedding that is named at a position."""
        for ids, name, vectors in self._by_first.get(tokens[position], ()):
            if tuple(tokens[position : position + len(ids)]) == ids:
                return name, vectors, len(ids)
        return None


def chunk_prompt(
    spans: Sequence[Span],
    tokenize: Tokenize,
    *,
    comma_token: int,
    bos: int,
    eos: int,
    pad: int,
    comma_backtrack: int = 20,
    embeddings: EmbeddingIndex | None = None,
) -> ChunkedPrompt:
    """The chunks of one text. Each span is tokenised for itself, without BOS and EOS.

    When a chunk overflows, the tokens after its last comma go to the next one if they are fewer than
    `comma_backtrack` (0 never). An embedding is never cut. Raises `BadRequest` for one of more than 75 vectors.
    """
    writer = _Writer(Marks(comma_token, bos, eos, pad), comma_backtrack)
    for span in spans:
        if span == BREAK:
            writer.close()
            continue
        tokens = tokenize(span.text)
        position = 0
        while position < len(tokens):
            token = tokens[position]
            found = embeddings.find(tokens, position) if embeddings is not None else None
            writer.make_room(token)
            if found is None:
                writer.add(token, span.weight)
                position += 1
            else:
                name, vectors, length = found
                writer.embed(name, vectors, span.weight)
                position += length
    return writer.finish()


def empty_chunk(bos: int, eos: int, pad: int) -> Chunk:
    """The encoding row of an empty text."""
    return _row(_Open(), Marks(-1, bos, eos, pad))


def pad_chunks(prompt: ChunkedPrompt, count: int, empty: Chunk) -> ChunkedPrompt:
    """The prompt with empty chunks behind it, `count` at least: texts of one schedule are encoded together."""
    missing = max(0, count - len(prompt.chunks))
    return replace(prompt, chunks=prompt.chunks + (empty,) * missing)


@dataclass
class _Open:
    """The chunk being filled; `comma` is the position of its last comma, or -1."""

    tokens: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    fixes: list[EmbeddingFix] = field(default_factory=list)
    comma: int = -1


class _Writer:
    def __init__(self, marks: Marks, backtrack: int) -> None:
        self._marks = marks
        self._backtrack = backtrack
        self._open = _Open()
        self._closed: list[Chunk] = []

    def close(self) -> None:
        self._closed.append(_row(self._open, self._marks))
        self._open = _Open()

    def make_room(self, token: int) -> None:
        """Closes a full chunk; what follows its last comma moves on, unless the token is a comma itself."""
        chunk = self._open
        if len(chunk.tokens) < ROOM:
            return
        near = chunk.comma >= 0 and ROOM - chunk.comma <= self._backtrack
        if token == self._marks.comma or not near:
            self.close()
            return
        cut = chunk.comma + 1
        # The marks of embeddings behind the comma move with their places. A1111 leaves them in the old chunk,
        # where they overwrite padding.
        moved = [fix._replace(offset=fix.offset - cut) for fix in chunk.fixes if fix.offset >= cut]
        rest = _Open(chunk.tokens[cut:], chunk.weights[cut:], moved)
        self._open = _Open(chunk.tokens[:cut], chunk.weights[:cut], [f for f in chunk.fixes if f.offset < cut])
        self.close()
        self._open = rest

    def add(self, token: int, weight: float) -> None:
        if token == self._marks.comma:
            self._open.comma = len(self._open.tokens)
        self._open.tokens.append(token)
        self._open.weights.append(weight)

    def embed(self, name: str, vectors: int, weight: float) -> None:
        if vectors > ROOM:
            raise BadRequest(
                "prompt.positive",
                f"the embedding {name!r} has {vectors} vectors; a chunk holds {ROOM}.",
                remedy="Use an embedding with fewer vectors, or take its name out of the prompt.",
                embedding=name,
            )
        if len(self._open.tokens) + vectors > ROOM:
            self.close()
        self._open.fixes.append(EmbeddingFix(len(self._open.tokens), name, vectors))
        self._open.tokens += [0] * vectors
        self._open.weights += [weight] * vectors

    def finish(self) -> ChunkedPrompt:
        count = ROOM * len(self._closed) + len(self._open.tokens)
        if self._open.tokens or not self._closed:
            self.close()
        return ChunkedPrompt(tuple(self._closed), count)


def _row(chunk: _Open, marks: Marks) -> Chunk:
    used = len(chunk.tokens)
    rest = ROOM - used
    tokens = (marks.bos, *chunk.tokens, marks.eos, *[marks.pad] * rest)
    weights = (1.0, *chunk.weights, *[1.0] * (rest + 1))
    return Chunk(tokens, weights, tuple(chunk.fixes), used)
