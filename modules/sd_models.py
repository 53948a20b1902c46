"""`modules.sd_models`: checkpoints; really in atelier/checkpoints and modules/_host/checkpoints.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType({
    "CheckpointInfo": "modules._host.checkpoints:CheckpointInfo",
    "SkipWritingToConfig": "modules._host.checkpoints:SkipWritingToConfig",
    "checkpoints_list": "modules._host.checkpoints:checkpoints_list",
    "model_data": "modules._host.checkpoints:model_data", "list_models": "modules._host.checkpoints:list_models",
    "checkpoint_tiles": "modules._host.checkpoints:checkpoint_tiles",
    "get_closet_checkpoint_match": "modules._host.checkpoints:get_closet_checkpoint_match",
    "load_model": "modules._host.checkpoints:load_model",
    "reload_model_weights": "modules._host.checkpoints:reload_model_weights",
    "unload_model_weights": "modules._host.checkpoints:unload_model_weights",
    "model_hash": "modules._host.checkpoints:model_hash",
    "read_metadata_from_safetensors": "modules._host.checkpoints:read_metadata_from_safetensors",
    "read_state_dict": "modules._host.checkpoints:read_state_dict",
    "model_path": "modules._host.shared_doors:model_path", "model_dir": "modules._host.shared_doors:model_dir",
    "checkpoint_aliases": "modules._host.shared_doors:checkpoint_aliases",
    "checkpoint_alisases": "modules._host.shared_doors:checkpoint_alisases",
    "checkpoints_loaded": "modules._host.shared_doors:checkpoints_loaded", "cmd_opts": "@cmd_opts",
    "shared": "modules.shared", "script_callbacks": "modules.script_callbacks", "devices": "modules.devices",
    "paths": "modules.paths", "errors": "modules.errors", "hashes": "modules.hashes",
})  # fmt: skip

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
