"""Conditioning: what is fed to the network beside x, by call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class TextEncoding:
    """One encoded text: a vector a token, and a pooled vector where the family has one."""

    vectors: Tensor  # [T, C]
    pooled: Tensor | None = None  # [P]

    def lengthened(self, length: int, filler: TextEncoding | None = None) -> Tensor:  # [length, C]
        """Filled up with whole blocks of `filler` where they fit, else by repeating the last vector."""
        vectors = self.vectors
        missing = length - vectors.shape[0]
        if missing <= 0:
            return vectors
        if filler is not None and missing % filler.vectors.shape[0] == 0:
            blocks = missing // filler.vectors.shape[0]
            return torch.cat([vectors, *([filler.vectors.to(vectors)] * blocks)])
        return torch.cat([vectors, vectors[-1:].expand(missing, -1)])


@dataclass(frozen=True, eq=False)
class ScheduledEncoding:
    """A text that changes on the way: each entry is (last call that uses it, encoding)."""

    entries: tuple[tuple[int, TextEncoding], ...]

    @classmethod
    def constant(cls, encoding: TextEncoding) -> ScheduledEncoding:
        return cls(((0, encoding),))

    def at(self, call_index: int) -> TextEncoding:
        """The first entry whose end is not passed. Calls count from 0 and ends from 1, and the end itself still
        belongs to the entry, so the first text lasts one call longer than written: as users of A1111 know it."""
        for until, encoding in self.entries:
            if call_index <= until:
                return encoding
        return self.entries[-1][1]


@dataclass(eq=False)
class StepConditioning:
    """The texts of one call. P rows, one for each picture and AND part, and one negative row for each of B pictures.

    Rows of different length are filled up by repeating the last vector; `lengths` says what each row has of its own.
    """

    vectors: Tensor  # [P, T, C]
    weights: tuple[float, ...]
    images: tuple[int, ...]
    lengths: tuple[int, ...]
    negative: Tensor  # [B, T2, C]
    negative_lengths: tuple[int, ...]
    pooled: Tensor | None = None  # [P, D]
    negative_pooled: Tensor | None = None  # [B, D]
    concat: Tensor | None = None  # [B, c, H, W]
    blank_concat: Tensor | None = None  # [B, c, H, W]
    added: dict[str, Tensor] = field(default_factory=dict)  # name -> [B, ...]
    negative_added: dict[str, Tensor] = field(default_factory=dict)  # name -> [B, ...]


@dataclass(frozen=True, eq=False)
class Conditioning:
    """All that a pass feeds beside x: for each picture its AND parts with weights, and its negative text.

    `concat` is put beside the latent channels (models that see a mask, a depth map or a picture). With `blank_concat`
    the negative is asked once more, with that in its place. `added` holds further inputs by name, one row a picture;
    `negative_added` replaces them for the negative rows where it differs. `empty` is the encoding of an
    empty text and is used to fill up short texts when `pad` asks for equal lengths. With `follow` the negative text
    takes the length of the prompt.
    """

    positive: tuple[tuple[tuple[float, ScheduledEncoding], ...], ...]
    negative: tuple[ScheduledEncoding, ...]
    concat: Tensor | None = None  # [B, c, H, W]
    blank_concat: Tensor | None = None  # [B, c, H, W]
    added: Mapping[str, Tensor] = field(default_factory=dict)
    negative_added: Mapping[str, Tensor] = field(default_factory=dict)
    empty: TextEncoding | None = None
    pad: bool = False
    follow: bool = False

    def __post_init__(self) -> None:
        if len(self.positive) != len(self.negative):
            raise ValueError(f"{len(self.positive)} positive texts but {len(self.negative)} negative ones")

    @property
    def images(self) -> int:
        return len(self.negative)

    def at(self, call_index: int) -> StepConditioning:
        """Freshly stacked each time, so that a hook may change the tensors of one call in place."""
        parts = [[(weight, text.at(call_index)) for weight, text in image] for image in self.positive]
        negatives = [text.at(call_index) for text in self.negative]
        # Parts of one picture share a length; pictures do not, or the batch would change the picture.
        own = [max(text.vectors.shape[0] for _, text in image) for image in parts]
        negative_own = [text.vectors.shape[0] for text in negatives]
        filler = None
        if self.pad:
            own = negative_own = [max(pair) for pair in zip(own, negative_own)]
            filler = self.empty
        elif self.follow:
            # A negative text takes the prompt's length: filled with its last vector, or cut.
            negatives = [
                TextEncoding(text.lengthened(size)[:size], text.pooled) for size, text in zip(own, negatives)
            ]
            negative_own = own
        rows = [(image, weight, text) for image, texts in enumerate(parts) for weight, text in texts]
        images = tuple(image for image, _, _ in rows)
        lengths = tuple(own[image] for image in images)
        return StepConditioning(
            vectors=_stack([text.lengthened(own[image], filler) for image, _, text in rows]),
            weights=tuple(weight for _, weight, _ in rows),
            images=images,
            lengths=lengths,
            negative=_stack([text.lengthened(size, filler) for size, text in zip(negative_own, negatives)]),
            negative_lengths=tuple(negative_own),
            pooled=_stack_pooled([text for _, _, text in rows]),
            negative_pooled=_stack_pooled(negatives),
            concat=self.concat,
            blank_concat=self.blank_concat,
            added=dict(self.added),
            negative_added={**self.added, **self.negative_added},
        )


def _stack(rows: Sequence[Tensor]) -> Tensor:  # [T_i, C] ... -> [N, max T, C]
    longest = max(row.shape[0] for row in rows)
    return torch.stack([TextEncoding(row).lengthened(longest) for row in rows])


def _stack_pooled(texts: Sequence[TextEncoding]) -> Tensor | None:
    found = [text.pooled for text in texts if text.pooled is not None]
    return torch.stack(found) if found and len(found) == len(texts) else None
