"""ActiveNetworks: what prompts ask for is applied to open models, once, and kept until something else is asked."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

from atelier.base.errors import AtelierError
from atelier.base.log import fields, logger
from atelier.checkpoints.embeddings import joined_rows
from atelier.checkpoints.load import LoadedModel
from atelier.checkpoints.shelf import Shelf
from atelier.device.memory import is_out_of_memory
from atelier.device.residency import Residency
from atelier.families.clip import embedding_widths
from atelier.networks.carried import Carried, Report
from atelier.networks.hypernetworks import Hypernetwork, attach, key_layers, read_hypernetwork
from atelier.networks.keys import LayerMap, text_encoders
from atelier.networks.network import Network, read_network
from atelier.networks.planned import TIMED, UNET, Planned, put_layers, told
from atelier.networks.resolve import HYPERNET, Resolved, Wanted, resolve
from atelier.networks.ride import ride
from atelier.prompts.tags import NetworkTag

log = logger(__name__)


class ActiveNetworks:
    """Belongs to one worker and is used from its thread only.

    Changes are baked into the weights; those whose strength depends on the step, and those of weights that are
    stored in fewer bits than 16, ride along in the forward pass. Equal tags of consecutive batches, also of different
    jobs, cost nothing.
    """

    def __init__(self, shelf: Shelf, residency: Residency | None = None) -> None:
        self._shelf = shelf
        self._residency = residency
        self._carried: dict[int, Carried] = {}
        #: by denoiser; gone with it
        self._names: WeakKeyDictionary[nn.Module, LayerMap] = WeakKeyDictionary()
        self._open: OrderedDict[Path, tuple[Hashable, Any]] = OrderedDict()

    def apply(self, model: LoadedModel, tags: Sequence[NetworkTag], hires: bool = False, spare: int = 0) -> Report:
        """The model carries exactly what the tags ask for. What cannot be used is told in the report's comments.

        `hires` reads the arguments for the second pass; `spare` is how many files stay in memory beside those in use.
        Raises only what has nothing to do with the files, such as the device's out-of-memory error; the model is then
        as it was loaded.
        """
        wanted = resolve(tags, hires, self._shelf.networks, model.family.name)
        carried = self._carried.get(id(model.denoiser))
        if carried is None and not wanted.key:
            return Report(comments=wanted.comments)
        carried = self._carried.setdefault(id(model.denoiser), Carried())
        carried.tags = (tuple(tags), hires)
        if carried.key != wanted.key:
            with ExitStack() as undo:
                undo.callback(self.restore, model)
                carried.report = self._change(model, carried, wanted)
                undo.pop_all()
            self._drop(wanted, spare)
        report = carried.report
        return Report(report.files, (*wanted.comments, *report.comments), report.bundled)

    def restore(self, model: LoadedModel) -> None:
        """The model is as it was loaded, bit by bit."""
        carried = self._carried.pop(id(model.denoiser), None)
        if carried is not None:
            carried.restore()

    def tags_of(self, model: LoadedModel) -> tuple[tuple[NetworkTag, ...], bool]:
        """What was applied last, to be applied again: the tags, and whether they were of the second pass."""
        carried = self._carried.get(id(model.denoiser))
        return ((), False) if carried is None else carried.tags

    def at(self, model: LoadedModel, call: int, calls: int, steps: int) -> None:
        """Strengths that change from step to step take their values for a call of the model."""
        carried = self._carried.get(id(model.denoiser))
        for curve, strength in carried.timed if carried is not None else ():
            strength.value = curve.at(call, calls, steps)

    def text_key(self, model: LoadedModel) -> Hashable:
        """Part of the key of cached encodings: equal while the text encoders carry the same."""
        carried = self._carried.get(id(model.denoiser))
        return () if carried is None else tuple(carried.key_of(name) for name in text_encoders(model))

    def embeddings(self, model: LoadedModel) -> Mapping[str, torch.Tensor]:
        """name -> [v, C]: embeddings that came with the networks in force."""
        carried = self._carried.get(id(model.denoiser))
        return MappingProxyType({}) if carried is None else carried.embeddings

    def _change(self, model: LoadedModel, carried: Carried, wanted: Resolved) -> Report:
        comments: list[str] = []
        opened = list(self._opened(wanted.loras, comments))
        hypernetworks = list(self._opened(wanted.hypernetworks, comments))
        planned = Planned(self._layers(model) if opened else None)
        for item, network in opened:
            comments += planned.add(item, network)
        for name, module in {UNET: model.denoiser, **text_encoders(model)}.items():
            layers = planned.layers.get(name, {})
            with self._on_device(module if carried.key_of(name) != planned.key(name) else None):
                carried.fill(name, planned.key(name), lambda patch, layers=layers: put_layers(layers, patch))
        _ride_timed(carried, planned)
        comments += _attach_all(model.denoiser, carried, hypernetworks)
        carried.embeddings, bundled = _bundled(model, opened, comments)
        comments += told(carried.notes, planned.counts)
        # A file that could not be opened is tried again for the next batch.
        whole = len(opened) == len(wanted.loras) and len(hypernetworks) == len(wanted.hypernetworks)
        carried.key = wanted.key if whole else None
        log.info("networks applied %s", fields(loras=len(opened), hypernetworks=len(hypernetworks)))
        used = planned.counts - Counter(note.network for note in carried.notes)
        fitting = ((item, network) for item, network in opened if used[item.ask.name] or network.embeddings)
        files = {item.ask.name: item.file for item, network in fitting}
        return Report(tuple(files.items()), tuple(dict.fromkeys(comments)), MappingProxyType(bundled))

    def _layers(self, model: LoadedModel) -> LayerMap:
        names = self._names.get(model.denoiser)
        if names is None:
            names = self._names[model.denoiser] = LayerMap(model)
        return names

    def _opened(self, wanted: Iterable[Wanted], comments: list[str]) -> Iterator[tuple[Wanted, Any]]:
        """Those that can be read, read now or still in memory."""
        for item in wanted:
            known = self._open.get(item.file.path)
            try:
                if known is None or known[0] != item.stamp:
                    known = (item.stamp, self._reader(item)(item))
            except AtelierError as error:
                comments.append(f"<{item.ask.kind}:{item.ask.name}> was left out: {error}")
                continue
            self._open[item.file.path] = known
            self._open.move_to_end(item.file.path)
            yield item, known[1]

    def _reader(self, item: Wanted) -> Callable[[Wanted], Any]:
        allowed = self._shelf.allow_pickle
        if item.ask.kind == HYPERNET:
            return lambda it: read_hypernetwork(it.file.path, it.file.name, allowed)
        return lambda it: read_network(it.file, allowed)

    def _drop(self, wanted: Resolved, spare: int) -> None:
        """Of the files that are not in use only the latest stay in memory."""
        used = {item.file.path for item in (*wanted.loras, *wanted.hypernetworks)}
        idle = [path for path in self._open if path not in used]
        for path in idle[: max(0, len(idle) - spare)]:
            del self._open[path]

    @contextmanager
    def _on_device(self, module: nn.Module | None) -> Iterator[None]:
        """Weights that will be needed on the device anyway are changed there; others where they are."""
        residency = self._residency
        elsewhere = residency is not None and residency.device.type != "cpu" and residency.policy == "keep"
        with ExitStack() as held:
            if module is not None and elsewhere:
                try:
                    held.enter_context(residency.lease(module))
                except (RuntimeError, MemoryError) as error:
                    if not is_out_of_memory(error):
                        raise
                    log.info("networks are calculated in memory %s", fields(reason="no room on the device"))
            yield


def _ride_timed(carried: Carried, planned: Planned) -> None:
    """What is calculated from weights is calculated again when those have changed."""
    key = (planned.key(TIMED), carried.key_of(UNET)) if planned.timed else ()
    if carried.key_of(TIMED) == key:
        return
    carried.timed = [(item.ask.unet, strength) for item, strength in planned.strengths]
    layers = planned.timed.items()
    carried.fill(TIMED, key, lambda patch: [m for target, uses in layers for m in ride(target, uses, patch)])


def _attach_all(denoiser: nn.Module, carried: Carried, opened: Sequence[tuple[Wanted, Hypernetwork]]) -> Iterator[str]:
    """Tells of hypernetworks that are for models of other widths."""
    used = [(network, item.ask.te) for item, network in opened if item.ask.te != 0]
    key = tuple((item.stamp, item.ask.te) for item, _ in opened if item.ask.te != 0)
    carried.fill(HYPERNET, key, lambda patch: attach(denoiser, used, patch))
    widths = {layer.in_features for layer in key_layers(denoiser)} if opened else set()
    for network in (network for _, network in opened if not widths & set(network.pairs)):
        own, wanted = sorted(network.pairs), sorted(widths)
        yield f"<{HYPERNET}:{network.name}> changes nothing: it is for the widths {own}, the model has {wanted}."


def _bundled(
    model: LoadedModel, opened: Sequence[tuple[Wanted, Network]], comments: list[str]
) -> tuple[Mapping[str, torch.Tensor], dict[str, Any]]:
    """Embeddings of the networks, and whose they are. Those of another width are told of."""
    widths, found, owners = embedding_widths(model), {}, {}
    for item, network in opened:
        for name, tensors in network.embeddings.items():
            rows = joined_rows(tensors, widths)
            if rows is None:
                comments.append(f"The embedding {name!r} of <lora:{item.ask.name}> is for another family of models.")
                continue
            found[name], owners[name] = rows, item.file
    return MappingProxyType(found), owners
