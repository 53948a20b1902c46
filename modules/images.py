"""`modules.images`: pictures on disk; really in atelier/imaging and modules/_host/images.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType({
    "save_image": "modules._host.images:save_image", "resize_image": "modules._host.images:resize_image",
    "get_next_sequence_number": "modules._host.images:get_next_sequence_number",
    "flatten": "modules._host.images:flatten", "read_info_from_image": "modules._host.images:read_info_from_image",
    "image_grid": "modules._host.images:image_grid", "GridAnnotation": "modules._host.images:GridAnnotation",
    "FilenameGenerator": "modules._host.images:FilenameGenerator",
    "sanitize_filename_part": "modules._host.images:sanitize_filename_part",
    "draw_grid_annotations": "modules._host.images:draw_grid_annotations",
    "split_grid": "modules._host.images:split_grid", "combine_grid": "modules._host.images:combine_grid",
    "Grid": "modules._host.images:Grid", "get_font": "modules._host.images:get_font",
    "LANCZOS": "modules._host.images:LANCZOS", "NEAREST": "modules._host.images:NEAREST", "opts": "@options",
    "shared": "modules.shared", "script_callbacks": "modules.script_callbacks", "errors": "modules.errors",
    "Image": "PIL.Image", "ImageFont": "PIL.ImageFont", "ImageDraw": "PIL.ImageDraw",
    "PngImagePlugin": "PIL.PngImagePlugin", "np": "numpy",
})  # fmt: skip

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
