"""`modules.scripts`: scripts of extensions; really in modules/_host/script.py, load.py and script_runner.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType({
    "Script": "modules._host.script:Script", "ScriptBuiltinUI": "modules._host.script:ScriptBuiltinUI",
    "AlwaysVisible": "modules._host.script:AlwaysVisible",
    "PostprocessImageArgs": "modules._host.script:PostprocessImageArgs",
    "PostprocessBatchListArgs": "modules._host.script:PostprocessBatchListArgs",
    "PostSampleArgs": "modules._host.script:PostSampleArgs",
    "PostProcessMaskOverlayArgs": "modules._host.script:PostProcessMaskOverlayArgs",
    "MaskBlendArgs": "modules._host.script:MaskBlendArgs", "OnComponent": "modules._host.script:OnComponent",
    "ScriptFile": "modules._host.script:ScriptFile", "ScriptClassData": "modules._host.script:ScriptClassData",
    "ScriptRunner": "modules._host.script_runner:ScriptRunner", "basedir": "modules._host.script_doors:basedir",
    "list_scripts": "modules._host.script_doors:list_scripts",
    "list_files_with_name": "modules._host.script_doors:list_files_with_name",
    "load_scripts": "modules._host.script_doors:load_scripts",
    "reload_scripts": "modules._host.script_doors:reload_scripts",
    "reload_script_body_only": "modules._host.script_doors:reload_script_body_only",
    "wrap_call": "modules._host.script_doors:wrap_call", "scripts_data": "@loader.scripts",
    "postprocessing_scripts_data": "@loader.postprocessing", "scripts_txt2img": "@txt2img",
    "scripts_img2img": "@img2img", "scripts_current": "@building", "shared": "modules.shared",
    "paths": "modules.paths", "script_callbacks": "modules.script_callbacks", "extensions": "modules.extensions",
    "script_loading": "modules.script_loading", "errors": "modules.errors",
})  # fmt: skip

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
