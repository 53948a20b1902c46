"""`modules.ui`: parts of the page; the real page is in atelier/web and modules/_host/ui_pieces.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType({
    "create_refresh_button": "modules._host.ui_pieces:create_refresh_button",
    "gr_show": "modules._host.ui_pieces:gr_show", "plaintext_to_html": "modules._host.ui_pieces:plaintext_to_html",
    "create_output_panel": "modules._host.ui_pieces:create_output_panel",
    "versions_html": "modules._host.ui_pieces:versions_html",
    "random_symbol": "modules._host.ui_pieces:random_symbol", "reuse_symbol": "modules._host.ui_pieces:reuse_symbol",
    "paste_symbol": "modules._host.ui_pieces:paste_symbol",
    "refresh_symbol": "modules._host.ui_pieces:refresh_symbol",
    "save_style_symbol": "modules._host.ui_pieces:save_style_symbol",
    "apply_style_symbol": "modules._host.ui_pieces:apply_style_symbol",
    "clear_prompt_symbol": "modules._host.ui_pieces:clear_prompt_symbol",
    "extra_networks_symbol": "modules._host.ui_pieces:extra_networks_symbol",
    "switch_values_symbol": "modules._host.ui_pieces:switch_values_symbol",
    "restore_progress_symbol": "modules._host.ui_pieces:restore_progress_symbol",
    "detect_image_size_symbol": "modules._host.ui_pieces:detect_image_size_symbol",
    "wrap_gradio_call": "modules._host.queue:wrap_gradio_call",
    "wrap_gradio_gpu_call": "modules._host.queue:wrap_gradio_gpu_call",
    "wrap_queued_call": "modules._host.queue:wrap_queued_call", "txt2img_paste_fields": "@txt2img.infotext_fields",
    "img2img_paste_fields": "@img2img.infotext_fields", "opts": "@options", "cmd_opts": "@cmd_opts",
    "ToolButton": "modules._host.ui_components:ToolButton", "FormRow": "modules._host.ui_components:FormRow",
    "FormColumn": "modules._host.ui_components:FormColumn", "FormGroup": "modules._host.ui_components:FormGroup",
    "FormHTML": "modules._host.ui_components:FormHTML", "shared": "modules.shared", "scripts": "modules.scripts",
    "script_callbacks": "modules.script_callbacks", "gr": "gradio",
})  # fmt: skip

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
