"""The CLIP tokenizer of the starter, and the compact table of the tokens that its captions use while training."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import CLIPTokenizer

VOCABULARY = 49408
START, END = 49406, 49407
LENGTH = 77
_MERGES = 49152 - 256 - 2


def _byte_letters() -> list[str]:
    """CLIP's printable stand-ins for the 256 bytes, in its order (printable bytes first)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(others))]


def write_vocabulary(packed: Path, folder: Path) -> None:
    """Turns `bpe_simple_vocab_16e6.txt.gz` (MIT, in the wheel of open_clip_torch) into vocab.json and merges.txt."""
    merges = gzip.decompress(packed.read_bytes()).decode().split("\n")[1 : _MERGES + 1]
    merges = [merge for merge in merges if merge]
    letters = _byte_letters()
    words = letters + [letter + "</w>" for letter in letters] + ["".join(merge.split()) for merge in merges]
    words += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]))


class Tokens:
    """Sentences to token numbers, in CLIP's own table or in a compact one of `used` tokens."""

    def __init__(self, folder: Path, used: torch.Tensor | None = None) -> None:
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


def used_tokens(folder: Path, words: Sequence[str]) -> torch.Tensor:  # [V]
    """The tokens of these words, of both specials, ascending."""
    tokens = Tokens(folder)
    found = {piece for word in words for piece in tokens.pieces(word)}
    return torch.tensor(sorted(found | {START, END}))
