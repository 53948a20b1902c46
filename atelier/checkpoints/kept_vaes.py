"""KeptVaes: VAEs that stay in memory when another has taken their place, so that going back reads no file."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from torch import nn

from atelier.checkpoints.load import LoadedModel
from atelier.checkpoints.shelf import VaeFile

#: checkpoint, file of the VAE or None for the checkpoint's own, time of change of the file that it was read from
Key = tuple[Path, Path | None, int]


class KeptVaes:
    """At most `limit`, those used last. One that is taken out belongs to its new model alone again.

    A VAE is kept for the checkpoint that it worked with: what it is built like follows from both.
    """

    def __init__(self, on_dropped: Callable[[nn.Module], None]) -> None:
        self.limit = 0
        self._on_dropped = on_dropped
        self._kept: OrderedDict[Key, nn.Module] = OrderedDict()

    def keep(self, model: LoadedModel) -> None:
        """Keeps the VAE of a model that goes on with another."""
        key = _key(model, model.vae_file)
        if key is None:
            self._on_dropped(model.vae)
            return
        self._kept[key] = model.vae
        self.trim()

    def take(self, model: LoadedModel, vae: VaeFile | None) -> nn.Module | None:
        """The kept VAE for a model, or None when it must be read."""
        key = _key(model, vae)
        return None if key is None else self._kept.pop(key, None)

    def trim(self) -> None:
        """Drops what is more than the limit, the one kept longest ago first."""
        while len(self._kept) > self.limit:
            self._on_dropped(self._kept.popitem(last=False)[1])

    def drop(self, checkpoint: Path | None = None) -> None:
        """Drops those of a checkpoint that is closed, or all."""
        for key in [key for key in self._kept if checkpoint in (None, key[0])]:
            self._on_dropped(self._kept.pop(key))

    def __contains__(self, module: nn.Module) -> bool:
        return any(kept is module for kept in self._kept.values())


def _key(model: LoadedModel, vae: VaeFile | None) -> Key | None:
    """None when the file is gone: nobody could tell whether it is still the same."""
    source = model.file.path if vae is None else vae.path
    try:
        changed = source.stat().st_mtime_ns
    except OSError:
        return None
    return model.file.path, None if vae is None else vae.path, changed
