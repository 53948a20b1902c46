"""The CLIP tokenizer of the starter, and the compact table of the tokens that its captions use while training."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import CLIPTokenizer

VOCABULARY = 49408
START, END = 49406, 49407
LENGTH = 77
CLIP = Path(__file__).parents[1] / "atelier/families/assets/clip"
"""The product's own copy of CLIP's vocabulary."""
_WEIGHTED = re.compile(r"\(([^():]+):([\d.]+)\)|([^()]+)")


class Tokens:
    """Sentences to token numbers, in CLIP's own table or in a compact one of `used` tokens."""

    def __init__(self, used: torch.Tensor | None = None, folder: Path = CLIP) -> None:
        self._tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
        self.used = torch.arange(VOCABULARY) if used is None else used  # [V]
        self._compact = torch.full((VOCABULARY,), -1)
        self._compact[self.used] = torch.arange(len(self.used))

    def __call__(self, sentences: Sequence[str]) -> torch.Tensor:  # [B, 77]
        """Weights in brackets count for nothing here. Raises KeyError for a token outside the compact table."""
        plain = [_WEIGHTED.sub(lambda found: found[1] or found[3], sentence) for sentence in sentences]
        rows = self._tokenizer(plain, padding="max_length", max_length=LENGTH, truncation=True)["input_ids"]
        ids = self._compact[torch.tensor(rows)]
        if (ids < 0).any():
            unknown = [s for s, row in zip(sentences, ids) if (row < 0).any()]
            raise KeyError(f"tokens outside the compact table in: {unknown[:3]}")
        return ids

    def weights(self, sentences: Sequence[str]) -> torch.Tensor:  # [B, 77]
        """The weight of each token: that of its brackets, as in `a (red:1.5) circle`, else 1."""
        out = torch.ones(len(sentences), LENGTH)
        for row, sentence in zip(out, sentences):
            at = 1
            for match in _WEIGHTED.finditer(sentence) if "(" in sentence else ():
                number = len(self.pieces((match[1] or match[3]).strip()))
                row[at : at + number] = float(match[2]) if match[1] else 1.0
                at += number
        return out

    def pieces(self, sentence: str) -> list[int]:
        """CLIP token numbers without start and end."""
        return self._tokenizer(sentence, add_special_tokens=False)["input_ids"]


def emphasised(hidden: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:  # [B, 77, C], [B, 77] -> [B, 77, C]
    """Each token's row times its weight; the mean over a whole sentence is put back, as A1111 does."""
    scaled = hidden * weights[..., None].to(hidden.dtype)
    return scaled * (hidden.mean((1, 2), keepdim=True) / scaled.mean((1, 2), keepdim=True))


def used_tokens(words: Sequence[str]) -> torch.Tensor:  # [V]
    """The tokens of these words, of both specials, ascending."""
    tokens = Tokens()
    found = {piece for word in words for piece in tokens.pieces(word)}
    return torch.tensor(sorted(found | {START, END}))
