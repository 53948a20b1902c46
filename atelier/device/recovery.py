"""The out-of-memory ladder: what is tried, in order, before a job is given up."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

import torch

from atelier.base.errors import OutOfMemory
from atelier.base.log import fields, logger
from atelier.device.residency import Residency, empty_cache, free_memory

log = logger(__name__)
T = TypeVar("T")


@dataclass
class Limits:
    """How work is cut into smaller pieces, for the job that runs now. `rows` is the most rows of one model call."""

    tile_vae: bool = False
    rows: int | None = None


@dataclass(frozen=True)
class Rung:
    """One thing to try. `stages` are the stages of a run at which it helps; `apply` is False when it cannot help."""

    name: str
    stages: tuple[str, ...]
    apply: Callable[[Ladder], bool]


class Ladder:
    """Runs work again after each rung. Every rung that was used is told through `tell`."""

    def __init__(self, residency: Residency) -> None:
        self.residency = residency
        self.limits = Limits()
        self._used: list[str] = []

    def begin_job(self) -> None:
        """What helped one job is not imposed on the next."""
        self.limits = Limits()
        self._used = []

    def run(self, stage: str, work: Callable[[], T], teller: Any = None) -> T:
        """`work` is tried until it succeeds or no rung is left. Raises `OutOfMemory` with the numbers."""
        while True:
            try:
                return work()
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                # The traceback keeps the tensors of the failed attempt alive; let it go before trying again.
                reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                error.__traceback__ = None
            rung = self._climb(stage)
            if rung is None:
                raise self._given_up(stage, reason)
            log.warning("out of memory, trying again: %s", fields(stage=stage, rung=rung, reason=reason))
            if teller is not None:
                teller.comment(f"The device ran out of memory while {STAGES.get(stage, stage)}; {rung}.")

    def rows(self, call: Callable[[Any], torch.Tensor], inputs: Any, teller: Any = None) -> torch.Tensor:
        """One model call, in as many pieces as the limits ask for. `inputs` are `ModelInputs`."""
        return self.run("sample", lambda: self._in_pieces(call, inputs), teller)

    def _in_pieces(self, call: Callable[[Any], torch.Tensor], inputs: Any) -> torch.Tensor:
        total = inputs.latents.shape[0]
        rows = self.limits.rows or total
        if rows >= total:
            return call(inputs)
        pieces = [call(rows_of(inputs, start, min(start + rows, total))) for start in range(0, total, rows)]
        return torch.cat(pieces)

    def _climb(self, stage: str) -> str | None:
        for rung in RUNGS:
            if rung.name in self._used and rung.name != HALVE or stage not in rung.stages:
                continue
            if rung.apply(self):
                self._used.append(rung.name)
                return rung.name
        return None

    def _given_up(self, stage: str, reason: str) -> OutOfMemory:
        free = free_memory(self.residency.device)
        return OutOfMemory(
            f"The device has too little memory for {STAGES.get(stage, stage)} ({reason}).",
            remedy="Make the picture or the batch smaller, or close other programs.",
            stage=stage,
            free=free,
        )


def rows_of(inputs: Any, start: int, end: int) -> Any:
    """The part of `ModelInputs` with rows start to end; tensors with fewer rows are shared."""
    total = inputs.latents.shape[0]

    def cut(value: Any) -> Any:
        if isinstance(value, torch.Tensor) and value.ndim and value.shape[0] == total:
            return value[start:end]
        if isinstance(value, dict):
            return {key: cut(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)) and len(value) == total:
            return value[start:end]
        return value

    return dataclasses.replace(
        inputs, **{field.name: cut(getattr(inputs, field.name)) for field in dataclasses.fields(inputs)}
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Devices say it in several ways; the CPU allocator raises a plain RuntimeError."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error).lower()
    return "out of memory" in text or "not enough memory" in text or "can't allocate memory" in text


def _drop_caches(ladder: Ladder) -> bool:
    empty_cache(ladder.residency.device)
    return True


def _evict(ladder: Ladder) -> bool:
    return ladder.residency.evict_idle() > 0


def _tile(ladder: Ladder) -> bool:
    ladder.limits.tile_vae = True
    return True


def _halve(ladder: Ladder) -> bool:
    now = ladder.limits.rows
    if now == 1:
        return False
    ladder.limits.rows = 1 if now is not None and now <= 3 else (now or 8) // 2
    return True


HALVE = "the batch goes through the model in smaller pieces"
STAGES = MappingProxyType({
    "load": "loading the model", "encode": "reading the prompt", "sample": "sampling", "decode": "decoding",
})  # fmt: skip
RUNGS = (
    Rung("caches were dropped", ("load", "encode", "sample", "decode"), _drop_caches),
    Rung("models that are not needed now left the device", ("load", "encode", "sample", "decode"), _evict),
    Rung("the picture is decoded in tiles", ("decode",), _tile),
    Rung(HALVE, ("sample",), _halve),
)
