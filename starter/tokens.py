"""The CLIP tokenizer of the starter, and the compact table of the tokens that its captions use while training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import CLIPTokenizer

VOCABULARY = 49408
START, END = 49406, 49407
LENGTH = 77
CLIP = Path(__file__).parents[1] / "atelier/families/assets/clip"
"""The product's own copy of CLIP's vocabulary."""


class Tokens:
    """Sentences to token numbers, in CLIP's own table or in a compact one of `used` tokens."""

    def __init__(self, used: torch.Tensor | None = None, folder: Path = CLIP) -> None:
        self._tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
        self.used = torch.arange(VOCABULARY) if used is None else used  # [V]
        self._compact = torch.full((VOCABULARY,), -1)
        self._compact[self.used] = torch.arange(len(self.used))

    def __call__(self, sentences: Sequence[str]) -> torch.Tensor:  # [B, 77]
        """Raises KeyError when a sentence holds a token outside the compact table."""
        rows = self._tokenizer(list(sentences), padding="max_length", max_length=LENGTH, truncation=True)["input_ids"]
        ids = self._compact[torch.tensor(rows)]
        if (ids < 0).any():
            unknown = [s for s, row in zip(sentences, ids) if (row < 0).any()]
            raise KeyError(f"tokens outside the compact table in: {unknown[:3]}")
        return ids

    def pieces(self, sentence: str) -> list[int]:
        """CLIP token numbers without start and end."""
        return self._tokenizer(sentence, add_special_tokens=False)["input_ids"]


def used_tokens(words: Sequence[str]) -> torch.Tensor:  # [V]
    """The tokens of these words, of both specials, ascending."""
    tokens = Tokens()
    found = {piece for word in words for piece in tokens.pieces(word)}
    return torch.tensor(sorted(found | {START, END}))
