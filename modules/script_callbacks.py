"""`modules.script_callbacks`: moments that extensions register for; really in modules/_host/callbacks.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType({
    "on_app_started": "modules._host.callback_doors:on_app_started",
    "on_before_reload": "modules._host.callback_doors:on_before_reload",
    "on_model_loaded": "modules._host.callback_doors:on_model_loaded",
    "on_ui_tabs": "modules._host.callback_doors:on_ui_tabs",
    "on_ui_train_tabs": "modules._host.callback_doors:on_ui_train_tabs",
    "on_ui_settings": "modules._host.callback_doors:on_ui_settings",
    "on_before_image_saved": "modules._host.callback_doors:on_before_image_saved",
    "on_image_saved": "modules._host.callback_doors:on_image_saved",
    "on_extra_noise": "modules._host.callback_doors:on_extra_noise",
    "on_cfg_denoiser": "modules._host.callback_doors:on_cfg_denoiser",
    "on_cfg_denoised": "modules._host.callback_doors:on_cfg_denoised",
    "on_cfg_after_cfg": "modules._host.callback_doors:on_cfg_after_cfg",
    "on_before_component": "modules._host.callback_doors:on_before_component",
    "on_after_component": "modules._host.callback_doors:on_after_component",
    "on_image_grid": "modules._host.callback_doors:on_image_grid",
    "on_infotext_pasted": "modules._host.callback_doors:on_infotext_pasted",
    "on_script_unloaded": "modules._host.callback_doors:on_script_unloaded",
    "on_before_ui": "modules._host.callback_doors:on_before_ui",
    "on_list_optimizers": "modules._host.callback_doors:on_list_optimizers",
    "on_list_unets": "modules._host.callback_doors:on_list_unets",
    "on_before_token_counter": "modules._host.callback_doors:on_before_token_counter",
    "remove_current_script_callbacks": "modules._host.callback_doors:remove_current_script_callbacks",
    "remove_callbacks_for_function": "modules._host.callback_doors:remove_callbacks_for_function",
    "clear_callbacks": "modules._host.callback_doors:clear_callbacks",
    "ordered_callbacks": "modules._host.callback_doors:ordered_callbacks",
    "ImageSaveParams": "modules._host.callback_params:ImageSaveParams",
    "ExtraNoiseParams": "modules._host.callback_params:ExtraNoiseParams",
    "CFGDenoiserParams": "modules._host.callback_params:CFGDenoiserParams",
    "CFGDenoisedParams": "modules._host.callback_params:CFGDenoisedParams",
    "AfterCFGCallbackParams": "modules._host.callback_params:AfterCFGCallbackParams",
    "UiTrainTabParams": "modules._host.callback_params:UiTrainTabParams",
    "ImageGridLoopParams": "modules._host.callback_params:ImageGridLoopParams",
    "BeforeTokenCounterParams": "modules._host.callback_params:BeforeTokenCounterParams",
    "ScriptCallback": "modules._host.callbacks:ScriptCallback", "callback_map": "@callbacks.callback_map",
})  # fmt: skip

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
