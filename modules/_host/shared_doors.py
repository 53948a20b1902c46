"""The rest of `modules.shared`: paths, lists, and switches that are always off here."""

from __future__ import annotations

from typing import Any

import gradio as gr

from atelier.launch.arguments import build_parser
from modules._host.attach import host
from modules._host.checkpoints import checkpoint_tiles, list_models
from modules._host.extension_list import list_extensions
from modules._host.folders import folder_of
from modules._host.option_info import OptionInfo
from modules._host.samplers import LiveList, samplers
from modules._host.shared_pieces import upscalers
from modules._host.tools import face_restorers as tool_restorers

no = False
xformers_available = False
batch_cond_uncond = True
parallel_processing_allowed = True
progress_print_out = None
clip_model = None
hf_endpoint = "https://huggingface.co"
hide_dirs = {"visible": True}
restricted_opts: frozenset[str] = frozenset()
gradio_theme = gr.themes.Default()

sd_upscalers = LiveList(upscalers)
face_restorers = LiveList(tool_restorers)
loaded_hypernetworks = LiveList(list)
extensions = LiveList(list_extensions)
checkpoint_aliases = checkpoint_alisases = LiveList(list)
checkpoints_loaded = LiveList(list)
tab_names = LiveList(list)
hypernetworks: dict[str, str] = {}
settings_components: dict[str, Any] = {}

model_dir = "Stable-diffusion"
parser = build_parser({})


class OptionTemplates(dict):
    """`shared.options_templates`: what a script adds here is declared at once."""

    def __setitem__(self, key: str, info: OptionInfo) -> None:
        super().__setitem__(key, info)
        host().options.add_option(key, info)

    def update(self, *args: Any, **kwargs: Any) -> None:
        for key, info in dict(*args, **kwargs).items():
            self[key] = info


options_templates = OptionTemplates()


class Categories:
    """Groups of settings pages. Sections of extensions all stand in one group here."""

    def __init__(self) -> None:
        self.mapping: dict[str, str] = {}

    def register_category(self, category_id: str, label: str) -> str:
        self.mapping.setdefault(category_id, label)
        return category_id


categories = Categories()


def __getattr__(name: str) -> Any:
    """What depends on the program that is attached."""
    if name == "config_filename":
        return str(host().paths.settings)
    if name == "styles_filename":
        return [str(path) for path in host().paths.styles]
    if name == "model_path":
        return folder_of(model_dir)
    raise AttributeError(name)


def list_samplers() -> Any:
    return samplers


def list_checkpoint_tiles(use_short: bool = False) -> list[str]:
    return checkpoint_tiles(use_short)


def refresh_checkpoints() -> None:
    list_models()


def reload_hypernetworks() -> None:
    """Hypernetworks are found when a prompt names one."""
