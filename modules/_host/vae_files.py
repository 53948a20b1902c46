"""`modules.sd_vae`: the VAE files of the shelf, and which of them the open model uses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from atelier.checkpoints.library import AUTOMATIC, NONE
from atelier.checkpoints.reader import read_state_dict
from modules._host.attach import host
from modules._host.live_dict import LiveDict

#: what extensions pass when they mean "as the settings say"
unspecified = object()
base_vae = None


def _on_the_shelf() -> dict[str, str]:
    services = host().services
    return {} if services is None else {vae.name: str(vae.path) for vae in services.shelf.vaes()}


class VaeView:
    """What the module's variables say now."""

    @property
    def folder(self) -> str:
        return str(host().paths.folders("vae")[0])

    @property
    def loaded_file(self) -> str | None:
        """The path of the open model's VAE; None while it uses its own."""
        model = host().sd_model
        return None if model is None or model.vae_file is None else str(model.vae_file.path)

    @property
    def checkpoint_info(self) -> Any:
        view = host().model_view()
        return None if view is None else view.sd_checkpoint_info


def refresh_vae_list() -> None:
    services = host().services
    if services is not None:
        services.shelf.scan()


def get_filename(filepath: str) -> str:
    return Path(filepath).name


def get_loaded_vae_name() -> str | None:
    return None if view.loaded_file is None else get_filename(view.loaded_file)


def get_loaded_vae_hash() -> str | None:
    model = host().sd_model
    return None if model is None or model.vae_file is None else model.vae_file.short


def find_vae_near_checkpoint(checkpoint_file: str) -> str | None:
    """The path of the VAE that belongs to a checkpoint. Raises `NotFound` for an unknown checkpoint."""
    shelf = host().engine_services().shelf
    found = shelf.vae_for(shelf.find_checkpoint(str(checkpoint_file)))
    return None if found is None else str(found.path)


def load_vae_dict(filename: str, map_location: Any = None) -> dict[str, torch.Tensor]:
    """The tensors of a VAE file, without what training left beside them. Raises `BadModelFile`, `ForbiddenPickle`."""
    tensors = read_state_dict(Path(filename), bool(host().settings.get("allow_pickle")))
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(("loss", "mask"))}


def reload_vae_weights(sd_model: Any = None, vae_file: Any = unspecified) -> Any:
    """The open model with a VAE: its path, None for its own, or as the settings say. Raises any `AtelierError`."""
    home = host()
    name = home.options.sd_vae if vae_file is unspecified else NONE if vae_file is None else str(vae_file)
    with home.lease():
        library = home.engine_services().library
        shown = library.current
        library.open(None if shown is None else shown.file.name, name or AUTOMATIC, lasting=False)
    return home.model_view()


#: name -> path
vae_dict = LiveDict(_on_the_shelf)
view = VaeView()
