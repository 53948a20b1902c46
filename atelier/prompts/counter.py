"""The token counter beside the prompt."""

from __future__ import annotations

from atelier.prompts.chunks import ROOM, EmbeddingIndex, Marks, Tokenize, chunk_prompt
from atelier.prompts.emphasis import parse_emphasis
from atelier.prompts.parse import parse_prompt
from atelier.prompts.tags import extract_tags


def count_tokens(
    text: str,
    tokenize: Tokenize,
    marks: Marks,
    *,
    steps: int = 20,
    comma_backtrack: int = 20,
    embeddings: EmbeddingIndex | None = None,
    split: bool = True,
) -> tuple[int, int]:
    """Tokens used by the longest text of a prompt's plan, and the room that its chunks have: (80, 150).

    Raises `BadRequest` for an embedding that fits no chunk.
    """
    plan = parse_prompt(extract_tags(text)[0], steps, split=split)
    used = max(
        chunk_prompt(
            parse_emphasis(part),
            tokenize,
            comma_token=marks.comma,
            bos=marks.bos,
            eos=marks.eos,
            pad=marks.pad,
            comma_backtrack=comma_backtrack,
            embeddings=embeddings,
        ).token_count
        for part in plan.texts()
    )
    return used, max(1, -(-used // ROOM)) * ROOM
