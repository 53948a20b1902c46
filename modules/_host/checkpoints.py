"""`modules.sd_models`: checkpoints by title, and loading them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from atelier.base.errors import AtelierError
from atelier.checkpoints.header import read_safetensors_header
from modules._host.attach import host
from modules._host.live_dict import LiveDict


class CheckpointInfo:
    """One checkpoint as A1111 lists it."""

    def __init__(self, filename: str) -> None:
        path = Path(filename)
        self.filename = filename
        self.name = path.name
        self.name_for_extra = self.model_name = path.stem
        self.title = self.short_title = self.name
        self.hash: str | None = None
        self.sha256: str | None = None
        self.shorthash: str | None = None
        self.is_safetensors = path.suffix.lower() == ".safetensors"
        self.ids = [self.model_name, self.name]

    @property
    def metadata(self) -> dict[str, Any]:
        return read_metadata_from_safetensors(self.filename) if self.is_safetensors else {}

    def register(self) -> None:
        """The shelf lists every file of the model folders by itself."""

    def calculate_shorthash(self) -> str | None:
        services = host().engine_services()
        file = services.shelf.hashed(services.shelf.find_checkpoint(self.title))
        self.sha256, self.shorthash = file.sha256, file.short
        return self.shorthash


def info_of(file: Any) -> CheckpointInfo:
    """From a `CheckpointFile` of the shelf."""
    info = CheckpointInfo(str(file.path))
    info.name, info.name_for_extra = file.name, file.stem
    info.model_name = file.stem
    info.title, info.short_title = file.title, file.short_title
    info.sha256, info.shorthash = file.sha256, file.short or None
    info.hash = info.shorthash
    info.ids = list(file.names())
    return info


def _on_the_shelf() -> dict[str, CheckpointInfo]:
    services = host().services
    if services is None:
        return {}
    return {file.title: info_of(file) for file in services.shelf.checkpoints()}


class ModelData:
    """`sd_models.model_data`."""

    was_loaded_at_least_once = False

    @property
    def sd_model(self) -> Any:
        return host().model_view()

    @property
    def loaded_sd_models(self) -> list[Any]:
        view = host().model_view()
        return [] if view is None else [view]

    def get_sd_model(self) -> Any:
        return self.sd_model

    def set_sd_model(self, v: Any, already_loaded: bool = False) -> None:
        """Which model is open is a setting; extensions choose it through `opts` or `reload_model_weights`."""


class SkipWritingToConfig:
    """Settings are only written where someone saves them, so nothing needs to be held back."""

    skip = False

    def __enter__(self) -> SkipWritingToConfig:
        return self

    def __exit__(self, *exc: Any) -> None:
        """Nothing was changed."""


def list_models() -> None:
    services = host().services
    if services is not None:
        services.shelf.scan()


def checkpoint_tiles(use_short: bool = False) -> list[str]:
    return [info.short_title if use_short else info.title for info in checkpoints_list.values()]


def get_closet_checkpoint_match(search_string: str) -> CheckpointInfo | None:
    services = host().services
    if services is None or not search_string:
        return None
    try:
        return info_of(services.shelf.find_checkpoint(search_string))
    except AtelierError:
        # Not to be found is an answer here; the caller says what that means.
        return None


def load_model(checkpoint_info: Any = None, already_loaded_state_dict: Any = None) -> Any:
    """Opens a checkpoint, by default the chosen one. Raises any `AtelierError`."""
    home = host()
    name = getattr(checkpoint_info, "title", None) or home.options.sd_model_checkpoint or None
    with home.lease():
        home.engine_services().library.open(name, home.options.sd_vae)
    return home.model_view()


def reload_model_weights(sd_model: Any = None, info: Any = None, forced_reload: bool = False) -> Any:
    return load_model(info)


def unload_model_weights(sd_model: Any = None, info: Any = None) -> Any:
    with host().lease():
        host().engine_services().library.unload()
    return None


def model_hash(filename: str) -> str:
    """The first ten digits of the file's sha256."""
    return host().engine_services().hashes.sha256(Path(filename))[:10]


def read_metadata_from_safetensors(filename: str) -> dict[str, Any]:
    """What the file says about itself; texts that are JSON are read as such. Raises `BadModelFile`."""
    found = {}
    for key, value in read_safetensors_header(Path(filename)).metadata.items():
        try:
            found[key] = json.loads(value) if value[:1] == "{" else value
        except ValueError:
            found[key] = value
    return found


def read_state_dict(checkpoint_file: Any, print_global_state: bool = False, map_location: Any = None) -> dict[str, Any]:
    """All tensors of a safetensors file. Raises `BadModelFile` for anything else, pickles included."""
    filename = getattr(checkpoint_file, "filename", checkpoint_file)
    read_safetensors_header(Path(filename))
    return load_file(str(filename), device=str(map_location or "cpu"))


#: title -> info
checkpoints_list = LiveDict(_on_the_shelf)
model_data = ModelData()
