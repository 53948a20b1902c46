"""The out-of-memory ladder: what is tried, in order, before a job is given up."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

import torch
from torch import nn

from atelier.base.errors import OutOfMemory
from atelier.base.log import fields, logger
from atelier.device.attention import Attention
from atelier.device.memory import empty_cache, free_memory, is_out_of_memory
from atelier.device.residency import Residency

log = logger(__name__)
T = TypeVar("T")


@dataclass
class Limits:
    """How work is cut into smaller pieces, for the job that runs now. `rows` is the most rows of one model call,
    `tile_tools` the longest side, in pixels, of what a tool such as an upscaler is given at once."""

    tile_vae: bool = False
    rows: int | None = None
    tile_tools: int | None = None


@dataclass(frozen=True)
class Rung:
    """One thing to try. `stages` are the stages of a run at which it helps; `apply` is False when it cannot help.

    A rung that gives `relief` changes nothing for long, so it may be tried again when memory runs out again.
    """

    name: str
    stages: tuple[str, ...]
    apply: Callable[[Ladder], bool]
    relief: bool = False


class Ladder:
    """Runs work again after each rung. A rung that was used is told once a job, as a comment of the `teller`: a run."""

    def __init__(self, residency: Residency, attention: Attention | None = None) -> None:
        self.residency = residency
        self.attention = attention or Attention()
        self.limits = Limits()
        self._rows_asked = 0
        self._told: set[str] = set()

    def begin_job(self) -> None:
        """What helped one job is not imposed on the next. The policy of the residency is set by whoever knows it."""
        self.limits = Limits()
        self.attention.begin_job()
        self._told.clear()

    @property
    def climbed(self) -> bool:
        """Whether the job has had to do with less than it asked for."""
        return bool(self._told)

    @contextmanager
    def lease(self, *modules: nn.Module, working: int = 0, teller: Any = None) -> Iterator[None]:
        """The residency's lease, with the chosen attention; when the modules do not fit, rungs are tried.

        `working` is the bytes that the work itself will need. Raises `OutOfMemory`.
        """
        with ExitStack() as held:
            self.run("place", lambda: held.enter_context(self.residency.lease(*modules, working=working)), teller)
            for module in modules:
                held.enter_context(self.attention.using(module))
            yield

    def run(self, stage: str, work: Callable[[], T], teller: Any = None) -> T:
        """`work` is tried until it succeeds or no rung is left. Raises `OutOfMemory` with the numbers."""
        tried: set[str] = set()
        while True:
            try:
                return work()
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                # The traceback keeps the tensors of the failed attempt alive; let it go before trying again.
                reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                error.__traceback__ = None
            rung = self._climb(stage, tried)
            if rung is None:
                raise self._given_up(stage, reason)
            log.warning("out of memory, trying again: %s", fields(stage=stage, rung=rung, reason=reason))
            if teller is not None and rung not in self._told:
                teller.comment(f"The device ran out of memory while {STAGES.get(stage, stage)}; {rung}.")
            self._told.add(rung)

    def rows(self, call: Callable[[Any], torch.Tensor], inputs: Any, teller: Any = None) -> torch.Tensor:
        """One model call, in as many pieces as the limits ask for. `inputs` are `ModelInputs`."""
        return self.run("sample", lambda: self._in_pieces(call, inputs), teller)

    def _in_pieces(self, call: Callable[[Any], torch.Tensor], inputs: Any) -> torch.Tensor:
        total = self._rows_asked = inputs.latents.shape[0]
        rows = self.limits.rows or total
        if rows >= total:
            return call(inputs)
        pieces = [call(rows_of(inputs, start, min(start + rows, total))) for start in range(0, total, rows)]
        return torch.cat(pieces)

    def _climb(self, stage: str, tried: set[str]) -> str | None:
        for rung in RUNGS:
            if stage not in rung.stages or (rung.relief and rung.name in tried):
                continue
            tried.add(rung.name)
            if rung.apply(self):
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
    """The part of `ModelInputs` with rows start to end, also inside of its dicts and lists of tensors.

    Tensors with fewer rows are shared; a list without tensors has one entry a row when it is as long as the batch.
    """
    total = inputs.latents.shape[0]

    def cut(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return value[start:end] if value.ndim and value.shape[0] == total else value
        if isinstance(value, dict):
            return {key: cut(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            if any(isinstance(item, torch.Tensor) for item in value):
                return type(value)(cut(item) for item in value)
            return value[start:end] if len(value) == total else value
        return value

    return dataclasses.replace(
        inputs, **{field.name: cut(getattr(inputs, field.name)) for field in dataclasses.fields(inputs)}
    )


def _drop_caches(ladder: Ladder) -> bool:
    empty_cache(ladder.residency.device)
    return True


def _evict(ladder: Ladder) -> bool:
    return ladder.residency.evict_idle() > 0


def _tile(ladder: Ladder) -> bool:
    done, ladder.limits.tile_vae = ladder.limits.tile_vae, True
    return not done


def _smaller_tiles(ladder: Ladder) -> bool:
    now = ladder.limits.tile_tools or 2 * FIRST_TOOL_TILE
    if now <= LAST_TOOL_TILE:
        return False
    ladder.limits.tile_tools = now // 2
    return True


def _split(ladder: Ladder) -> bool:
    return ladder.attention.split()


def _halve(ladder: Ladder) -> bool:
    now = min(ladder.limits.rows or ladder._rows_asked, ladder._rows_asked)
    if now <= 1:
        return False
    ladder.limits.rows = now // 2
    return True


def _stream(ladder: Ladder) -> bool:
    return ladder.residency.stream_from_now()


#: sides of tiles that tools try when memory runs out
FIRST_TOOL_TILE, LAST_TOOL_TILE = 256, 64
HALVE = "the batch goes through the model in smaller pieces"
STAGES = MappingProxyType({
    "load": "loading the model", "place": "bringing the model to the device",
    "encode": "reading the prompt", "picture": "reading the picture", "sample": "sampling", "decode": "decoding",
    "upscale": "enlarging",
})  # fmt: skip
EVERYWHERE = tuple(STAGES)
RUNGS = (
    Rung("caches were dropped", EVERYWHERE, _drop_caches, relief=True),
    Rung("models that are not needed now left the device", EVERYWHERE, _evict, relief=True),
    Rung("the picture goes through the VAE in tiles", ("picture", "decode"), _tile),
    Rung("attention goes in slices", ("encode", "picture", "sample", "decode"), _split),
    Rung("the picture is enlarged in smaller tiles", ("upscale",), _smaller_tiles),
    Rung(HALVE, ("sample",), _halve),
    Rung("the model goes through the device block by block", ("place", "sample"), _stream),
)
