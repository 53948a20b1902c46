"""`modules.shared`: what everybody reaches for; really in modules/_host/options.py, state.py and old_model.py."""

from __future__ import annotations

import sys
from types import MappingProxyType

from modules._host.door import lazy
from modules._host.shared_module import shared_module

NAMES = MappingProxyType({
    "opts": "@options", "cmd_opts": "@cmd_opts", "state": "@state", "demo": "@demo",
    "sd_model": "modules._host.model_proxy:sd_model", "OptionInfo": "modules._host.option_info:OptionInfo",
    "OptionHTML": "modules._host.option_info:OptionHTML",
    "options_section": "modules._host.option_info:options_section", "State": "modules._host.state:State",
    "Options": "modules._host.options:Options", "listfiles": "modules._host.shared_pieces:listfiles",
    "walk_files": "modules._host.shared_pieces:walk_files",
    "natural_sort_key": "modules._host.shared_pieces:natural_sort_key", "html": "modules._host.shared_pieces:html",
    "html_path": "modules._host.shared_pieces:html_path", "ldm_print": "modules._host.shared_pieces:ldm_print",
    "total_tqdm": "modules._host.shared_pieces:total_tqdm", "mem_mon": "modules._host.shared_pieces:mem_mon",
    "prompt_styles": "modules._host.shared_pieces:prompt_styles",
    "interrogator": "modules._host.tools:interrogator",
    "latent_upscale_modes": "modules._host.shared_pieces:latent_upscale_modes",
    "latent_upscale_default_mode": "modules._host.shared_pieces:latent_upscale_default_mode",
    "TotalTQDM": "modules._host.shared_pieces:TotalTQDM",
    "options_templates": "modules._host.shared_doors:options_templates",
    "sd_upscalers": "modules._host.shared_doors:sd_upscalers",
    "face_restorers": "modules._host.shared_doors:face_restorers",
    "hypernetworks": "modules._host.shared_doors:hypernetworks",
    "loaded_hypernetworks": "modules._host.shared_doors:loaded_hypernetworks",
    "reload_hypernetworks": "modules._host.shared_doors:reload_hypernetworks",
    "hide_dirs": "modules._host.shared_doors:hide_dirs",
    "restricted_opts": "modules._host.shared_doors:restricted_opts",
    "settings_components": "modules._host.shared_doors:settings_components",
    "tab_names": "modules._host.shared_doors:tab_names", "list_samplers": "modules._host.shared_doors:list_samplers",
    "list_checkpoint_tiles": "modules._host.shared_doors:list_checkpoint_tiles",
    "refresh_checkpoints": "modules._host.shared_doors:refresh_checkpoints",
    "xformers_available": "modules._host.shared_doors:xformers_available",
    "batch_cond_uncond": "modules._host.shared_doors:batch_cond_uncond",
    "parallel_processing_allowed": "modules._host.shared_doors:parallel_processing_allowed",
    "progress_print_out": "modules._host.shared_doors:progress_print_out",
    "gradio_theme": "modules._host.shared_doors:gradio_theme",
    "config_filename": "modules._host.shared_doors:config_filename",
    "styles_filename": "modules._host.shared_doors:styles_filename",
    "clip_model": "modules._host.shared_doors:clip_model", "hf_endpoint": "modules._host.shared_doors:hf_endpoint",
    "parser": "modules._host.shared_doors:parser", "data_path": "modules._host.folders:data_path",
    "script_path": "modules._host.folders:script_path", "models_path": "modules._host.folders:models_path",
    "device": "modules._host.devices:view.device", "weight_load_location": "modules._host.devices:cpu",
})  # fmt: skip

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)


# Reading goes through `__getattr__`; this catches `shared.sd_model = x` as well, which must not hide the open model.
sys.modules[__name__].__class__ = shared_module()
