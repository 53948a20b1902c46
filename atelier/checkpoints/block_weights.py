"""BlockWeights: how strongly each block of a denoiser takes part in a merge."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from atelier.base.errors import BadRequest
from atelier.families.ldm import UNET_PREFIX

FIELD = "block_weights"
BASE = "BASE"
_BLOCK = re.compile(r"(?:(input|output)_blocks\.(\d+)|(middle)_block|(time_embed|label_emb)|(out))\.")
_NAMED = re.compile(r"(BASE|(?:IN|OUT)\d{1,2}|M00|IN|OUT)(?:-((?:IN|OUT)\d{1,2}|M00))?\s*[:=]\s*(\S+)", re.IGNORECASE)


@dataclass(frozen=True)
class BlockWeights:
    """`base` is for everything outside of the denoiser's blocks; a block that is not named has it too."""

    base: float
    blocks: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))

    def of(self, key: str) -> float:
        """The multiplier of a tensor of the file."""
        return self.blocks.get(block_of(key), self.base)


def block_of(key: str) -> str:
    """IN00 to IN11, M00, OUT00 to OUT11, or BASE. What stands before the first block counts to it, what stands behind
    the last one to that, as in the lists that people share."""
    if not key.startswith(UNET_PREFIX):
        return BASE
    found = _BLOCK.match(key, len(UNET_PREFIX))
    if found is None:
        return BASE
    if found[1]:
        return f"{'IN' if found[1] == 'input' else 'OUT'}{int(found[2]):02d}"
    return "M00" if found[3] else "IN00" if found[4] else "LAST"


def block_names(keys: Iterable[str]) -> tuple[str, ...]:
    """The blocks of a denoiser in order: 25 of Stable Diffusion 1 and 2, 19 of XL."""
    found = {block_of(key) for key in keys} - {BASE, "LAST"}
    return tuple(sorted(found, key=lambda name: (("IN", "M", "OUT").index(name.rstrip("0123456789")), name)))


def read_block_weights(text: str, multiplier: float, names: tuple[str, ...]) -> BlockWeights:
    """Numbers by comma, one for each block, with or without one for BASE before them; or `IN00-IN05: 0.2, BASE: 0`.

    Empty text gives every tensor the multiplier. Raises `BadRequest` that says how many numbers are needed.
    """
    parts = [part for part in re.split(r"[,;\n]+", text) if part.strip()]
    if not parts:
        return BlockWeights(multiplier)
    if any(":" in part or "=" in part for part in parts):
        base, blocks = multiplier, {}
        for part in parts:
            for name, weight in _named(part.strip(), names):
                base, blocks = (weight, blocks) if name == BASE else (base, {**blocks, name: weight})
        return _complete(base, blocks, names)
    numbers = [_number(word) for part in parts for word in part.split()]
    if len(numbers) == len(names):
        return _complete(multiplier, dict(zip(names, numbers)), names)
    if len(numbers) == len(names) + 1:
        return _complete(numbers[0], dict(zip(names, numbers[1:])), names)
    raise BadRequest(
        FIELD, f"{len(numbers)} numbers do not fit this model.",
        remedy=f"Give {len(names)} numbers, {names[0]} to {names[-1]}, or {len(names) + 1} with BASE before them."
        if names else "This model has no blocks to weigh; leave the list empty.",
    )  # fmt: skip


def _complete(base: float, blocks: dict[str, float], names: tuple[str, ...]) -> BlockWeights:
    if names:
        blocks.setdefault("LAST", blocks.get(names[-1], base))
    return BlockWeights(base, MappingProxyType(blocks))


def _named(part: str, names: tuple[str, ...]) -> list[tuple[str, float]]:
    found = _NAMED.fullmatch(part)
    if found is None:
        raise BadRequest(FIELD, f"{part!r} cannot be read.", remedy="Write such as IN00-IN05: 0.2, M00: 0.5, OUT: 1.")
    first, last, weight = found[1].upper(), (found[2] or "").upper(), _number(found[3])
    if first == BASE:
        return [(BASE, weight)]
    if first in ("IN", "OUT"):
        return [(name, weight) for name in names if name.startswith(first)]
    ends = [first, last or first]
    missing = next((name for name in ends if name not in names), None)
    if missing:
        raise BadRequest(FIELD, f"this model has no block {missing}.", remedy=f"It has {', '.join(names)}.")
    return [(name, weight) for name in names[names.index(ends[0]) : names.index(ends[1]) + 1]]


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not -10 <= number <= 10:
        raise BadRequest(FIELD, f"{text!r} is not a number that can be used.", remedy="Use numbers such as 0.5.")
    return number
