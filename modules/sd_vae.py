"""`modules.sd_vae`: VAE files; really in atelier/checkpoints/shelf.py and library.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType(
    {
        "vae_dict": "modules._host.vae_files:vae_dict",
        "unspecified": "modules._host.vae_files:unspecified",
        "base_vae": "modules._host.vae_files:base_vae",
        "refresh_vae_list": "modules._host.vae_files:refresh_vae_list",
        "get_filename": "modules._host.vae_files:get_filename",
        "get_loaded_vae_name": "modules._host.vae_files:get_loaded_vae_name",
        "get_loaded_vae_hash": "modules._host.vae_files:get_loaded_vae_hash",
        "find_vae_near_checkpoint": "modules._host.vae_files:find_vae_near_checkpoint",
        "load_vae_dict": "modules._host.vae_files:load_vae_dict",
        "reload_vae_weights": "modules._host.vae_files:reload_vae_weights",
        "vae_path": "modules._host.vae_files:view.folder",
        "loaded_vae_file": "modules._host.vae_files:view.loaded_file",
        "checkpoint_info": "modules._host.vae_files:view.checkpoint_info",
    }
)

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
