"""Library: which models are open, and how one takes the place of another."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import torch
from torch import nn

from atelier.base.errors import NotFound, OutOfMemory
from atelier.base.log import fields, logger
from atelier.checkpoints.kept_vaes import KeptVaes
from atelier.checkpoints.load import LoadedModel, Placement, load_checkpoint, with_vae
from atelier.checkpoints.shelf import CheckpointFile, Shelf, VaeFile
from atelier.device.eight_bits import DISABLE, Storage, storage_for, store
from atelier.device.memory import free_memory, give_back

log = logger(__name__)

AUTOMATIC = "Automatic"
NONE = "None"

Stamp = tuple[int, int]


@dataclass
class _Open:
    model: LoadedModel
    stamp: Stamp | None
    storage: Storage


def free_for_weights() -> int:
    """Bytes of memory that can be had, what the system may put aside on disk included."""
    return free_memory(torch.device("cpu")) + psutil.swap_memory().free


def weight_bytes(model: LoadedModel) -> int:
    return sum(weight.nbytes for module in model.components().values() for weight in module.parameters())


def _nothing(_gone: LoadedModel | nn.Module) -> None:
    """Listens to nothing."""


class Library:
    """Belongs to one worker and is used from its thread only. `limit` models stay open at once; the one used longest
    ago is closed first. Weights in use are not closed with their model: whoever still holds it keeps it.

    `on_opened` hears of every model that becomes current, `on_closed` of every model that is dropped, so that its
    components can be forgotten elsewhere; `on_vae_dropped` of every VAE that `kept_vaes` held and gave up.
    A failure while loading changes nothing: the previous model stays.
    Only where the machine's memory cannot hold both is a model closed before the next is read.
    """

    def __init__(
        self,
        shelf: Shelf,
        placement: Placement,
        limit: int = 1,
        on_opened: Callable[[LoadedModel], None] = _nothing,
        on_closed: Callable[[LoadedModel], None] = _nothing,
        free_bytes: Callable[[], int] = free_for_weights,
        on_vae_dropped: Callable[[nn.Module], None] = _nothing,
    ) -> None:
        self.shelf = shelf
        self.placement = placement
        self.limit = limit
        #: the setting of that name; a model that is stored otherwise is read again
        self.fp8_storage = DISABLE
        self._on_opened = on_opened
        self._on_closed = on_closed
        self._free_bytes = free_bytes
        self._open: OrderedDict[Path, _Open] = OrderedDict()
        self.kept_vaes = KeptVaes(on_vae_dropped)
        self._held = 0
        #: of the models opened inside the block that holds them
        self._in_use: set[Path] = set()
        #: opened last to stay, not for one request alone
        self._usual: CheckpointFile | None = None

    @property
    def current(self) -> LoadedModel | None:
        return next(reversed(self._open.values())).model if self._open else None

    @property
    def open_models(self) -> tuple[LoadedModel, ...]:
        return tuple(entry.model for entry in self._open.values())

    @contextmanager
    def holding(self, count: int) -> Iterator[None]:
        """Up to `count` models stay open inside the block, whatever the limit; at its end the limit counts again."""
        before, self._held = self._held, max(self._held, count)
        try:
            yield
        finally:
            self._held = before
            if not before:
                self._in_use.clear()
            self._close_surplus()

    def open(
        self, checkpoint: str | None = None, vae: str = AUTOMATIC, vae_first: bool = True, lasting: bool = True
    ) -> LoadedModel:
        """The named checkpoint with the named VAE, loaded if it is not open.

        `checkpoint` None or "" means the one that was last opened as `lasting`, or the default. `vae` is a name,
        "Automatic" (the one of the command line, else the one that belongs to the checkpoint, else its own) or "None"
        (always its own). Without `vae_first` a VAE that belongs to the checkpoint comes before one that is named.
        Raises `NotFound`, `BadModelFile`, `UnknownModel`, `ForbiddenPickle` or `OutOfMemory`; the model that was
        current then still is.
        """
        file = self._resolve(checkpoint)
        model = self._opened(file, self._resolve_vae(vae, file, vae_first))
        if lasting:
            self._usual = file
        return model

    def _opened(self, file: CheckpointFile, wanted_vae: VaeFile | None) -> LoadedModel:
        if self._held:
            self._in_use.add(file.path)
        entry = self._open.get(file.path)
        stamp = _stamp(file.path)
        # A file that is gone leaves the loaded model as it is; a file that was replaced is loaded again.
        fits = entry is not None and entry.storage == self.storage_of(entry.model)
        if fits and (stamp is None or stamp == entry.stamp):
            model = entry.model
            if _path_of(model.vae_file) != _path_of(wanted_vae):
                kept = self.kept_vaes.take(model, wanted_vae)
                model = with_vae(model, self.placement, wanted_vae, self.shelf.allow_pickle, kept)
                self.kept_vaes.keep(entry.model)
                self._keep(model, entry.stamp, replaced=entry.model)
            elif model is not self.current:
                self._keep(model, entry.stamp)
            return model
        model = self._load(file, wanted_vae)
        # Only now, when the model is whole: hashing a wrong file would be time lost.
        model = replace(model, file=self.shelf.hashed(file))
        self._keep(model, stamp, replaced=None if entry is None else entry.model)
        return model

    def reload(self) -> LoadedModel:
        """Reads the current model's file again. Raises as `open`; the loaded model then stays."""
        old = self.current
        if old is None:
            return self.open()
        file = self._resolve(old.file.name)
        model = self._load(file, old.vae_file)
        self._keep(replace(model, file=self.shelf.hashed(file)), _stamp(file.path), replaced=old)
        return self.open(file.name, NONE if old.vae_file is None else old.vae_file.name)

    def unload(self) -> None:
        """Closes every model and gives its memory back."""
        self.kept_vaes.drop()
        while self._open:
            self._close(next(iter(self._open)))
        give_back()

    def _resolve(self, checkpoint: str | None) -> CheckpointFile:
        if not checkpoint:
            usual = self._usual
            still_there = usual is not None and (usual.path in self._open or usual.path.exists())
            return usual if still_there else self.shelf.default_checkpoint()
        try:
            return self.shelf.find_checkpoint(checkpoint)
        except NotFound:
            for model in reversed(self.open_models):
                if checkpoint in model.file.names():
                    log.warning("checkpoint file is gone, the loaded model is used %s", fields(file=model.file.name))
                    return model.file
            raise

    def _resolve_vae(self, vae: str, file: CheckpointFile, vae_first: bool) -> VaeFile | None:
        if vae == NONE:
            return None
        if vae in ("", AUTOMATIC) and self.shelf.given_vae is not None:
            return self.shelf.hashed_vae(self.shelf.given_vae)
        own = self.shelf.vae_for(file) if vae in ("", AUTOMATIC) or not vae_first else None
        found = own if own is not None or vae in ("", AUTOMATIC) else self.shelf.find_vae(vae)
        return None if found is None else self.shelf.hashed_vae(found)

    def _keep(self, model: LoadedModel, stamp: Stamp | None, replaced: LoadedModel | None = None) -> None:
        """Makes a model current. What it takes the place of is closed."""
        self._open.pop(model.file.path, None)
        self._open[model.file.path] = _Open(model, stamp, self.storage_of(model))
        if replaced is not None:
            self._on_closed(replaced)
        self._close_surplus()
        self._on_opened(model)

    def _close_surplus(self) -> None:
        surplus = list(self._open)[: max(0, len(self._open) - max(1, self.limit, self._held))]
        for path in surplus:
            self._close(path)
        if surplus:
            give_back()

    def _close(self, path: Path) -> None:
        old = self._open.pop(path)
        self.kept_vaes.drop(path)
        log.info("checkpoint closed %s", fields(file=old.model.file.name))
        self._on_closed(old.model)

    def _load(self, file: CheckpointFile, vae: VaeFile | None) -> LoadedModel:
        model = load_checkpoint(
            file, self.placement, vae, self.shelf.allow_pickle, lambda wanted: self._make_room(file, wanted)
        )
        store(model.components(), self.storage_of(model), model.device)
        return model

    def storage_of(self, model: LoadedModel) -> Storage:
        """Which of its components are to be stored in 8 bits, as settings and command line say now."""
        return storage_for(self.fp8_storage, model.family.name, self.placement.stored)

    def _make_room(self, file: CheckpointFile, wanted: int) -> None:
        """Closes models, the one used longest ago first, as far as the weights need their room; a run's own stay.

        Without this the system would end the process. Nothing is closed when even that would not be enough.
        """
        if self.placement.rest.type != "cpu" or wanted <= (free := self._free_bytes()):
            return
        self.kept_vaes.drop()
        free = self._free_bytes()
        idle = [path for path in self._open if path not in self._in_use]
        given = sum(weight_bytes(self._open[path].model) for path in idle)
        if wanted > free + given:
            raise OutOfMemory(
                f"{file.name} needs {wanted / 1e9:.1f} GB of memory, and {(free + given) / 1e9:.1f} GB can be had.",
                remedy="Close other programs, start with --precision half, or choose a smaller model.",
                needed=wanted,
                free=free + given,
            )
        for path in idle:
            if wanted <= self._free_bytes():
                break
            self._close(path)
            give_back()


def _path_of(vae: VaeFile | None) -> Path | None:
    return None if vae is None else vae.path


def _stamp(path: Path) -> Stamp | None:
    """Size and time of change, None when the file is gone."""
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns
