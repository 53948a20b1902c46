"""Script: what an A1111 extension's script inherits from, and the objects its methods are handed."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple


class _AlwaysVisible:
    def __repr__(self) -> str:
        return "AlwaysVisible"


#: `show` returns it for a script whose controls are always there
AlwaysVisible = _AlwaysVisible()


class PostprocessImageArgs:
    def __init__(self, image: Any) -> None:
        self.image = image


class PostprocessBatchListArgs:
    def __init__(self, images: list[Any]) -> None:
        self.images = images


class PostSampleArgs:
    def __init__(self, samples: Any) -> None:
        self.samples = samples


@dataclass
class PostProcessMaskOverlayArgs:
    index: int
    mask_for_overlay: Any
    overlay_image: Any


@dataclass
class MaskBlendArgs:
    current_latent: Any
    nmask: Any
    init_latent: Any
    mask: Any
    blended_latent: Any
    denoiser: Any = None
    sigma: Any = None

    @property
    def is_final_blend(self) -> bool:
        return self.denoiser is None


@dataclass
class OnComponent:
    component: Any


class ScriptFile(NamedTuple):
    basedir: str
    filename: str
    path: str


class ScriptClassData(NamedTuple):
    script_class: type
    path: str
    basedir: str
    module: Any


class Script:
    """One instance for each tab. A subclass overrides what it needs; the base methods are never called by the host."""

    name: str | None = None
    section: str | None = None
    filename: str | None = None
    args_from: int | None = None
    args_to: int | None = None
    alwayson = False
    is_txt2img = False
    is_img2img = False
    tabname: str | None = None
    group: Any = None
    create_group = True
    infotext_fields: list[Any] | None = None
    paste_field_names: list[str] | None = None
    api_info: Any = None
    on_before_component_elem_id: list[tuple[str, Callable]] | None = None
    on_after_component_elem_id: list[tuple[str, Callable]] | None = None
    setup_for_ui_only = False
    sorting_priority = 0
    controls: list[Any] | None = None

    def title(self) -> str:
        return type(self).__name__

    def ui(self, is_img2img: bool) -> Any:
        return None

    def show(self, is_img2img: bool) -> Any:
        return True

    def run(self, p: Any, *args: Any) -> Any:
        return None

    def setup(self, p: Any, *args: Any) -> None: ...

    def before_process(self, p: Any, *args: Any) -> None: ...

    def process(self, p: Any, *args: Any) -> None: ...

    def before_process_batch(self, p: Any, *args: Any, **kwargs: Any) -> None: ...

    def after_extra_networks_activate(self, p: Any, *args: Any, **kwargs: Any) -> None: ...

    def process_batch(self, p: Any, *args: Any, **kwargs: Any) -> None: ...

    def before_hr(self, p: Any, *args: Any) -> None: ...

    def process_before_every_sampling(self, p: Any, *args: Any, **kwargs: Any) -> None: ...

    def on_mask_blend(self, p: Any, mba: MaskBlendArgs, *args: Any) -> None: ...

    def post_sample(self, p: Any, ps: PostSampleArgs, *args: Any) -> None: ...

    def postprocess_batch(self, p: Any, *args: Any, **kwargs: Any) -> None: ...

    def postprocess_batch_list(self, p: Any, pp: PostprocessBatchListArgs, *args: Any, **kwargs: Any) -> None: ...

    def postprocess_image(self, p: Any, pp: PostprocessImageArgs, *args: Any) -> None: ...

    def postprocess_maskoverlay(self, p: Any, ppmo: PostProcessMaskOverlayArgs, *args: Any) -> None: ...

    def postprocess_image_after_composite(self, p: Any, pp: PostprocessImageArgs, *args: Any) -> None: ...

    def postprocess(self, p: Any, processed: Any, *args: Any) -> None: ...

    def before_component(self, component: Any, **kwargs: Any) -> None: ...

    def after_component(self, component: Any, **kwargs: Any) -> None: ...

    def describe(self) -> str:
        return ""

    def elem_id(self, item_id: Any) -> str:
        """`script_<tab>_<title>_<item>`; the tab is left out when the script is shown in one tab only."""
        both = self.show(True) == self.show(False)
        tab = ("img2img_" if self.is_img2img else "txt2img_") if both else ""
        title = re.sub(r"[^a-z_0-9]", "", re.sub(r"\s", "_", self.title().lower()))
        return f"script_{tab}{title}_{item_id}"

    def on_before_component(self, callback: Callable, *, elem_id: str) -> None:
        self.on_before_component_elem_id = [*(self.on_before_component_elem_id or ()), (elem_id, callback)]

    def on_after_component(self, callback: Callable, *, elem_id: str) -> None:
        self.on_after_component_elem_id = [*(self.on_after_component_elem_id or ()), (elem_id, callback)]


class ScriptBuiltinUI(Script):
    setup_for_ui_only = True

    def elem_id(self, item_id: Any) -> str:
        both = self.show(True) == self.show(False)
        tab = ("img2img_" if self.is_img2img else "txt2img_") if both else ""
        return f"{tab}{item_id}"

    def show(self, is_img2img: bool) -> Any:
        return AlwaysVisible


class ScriptPostprocessing:
    """A script of the Extras tab. `ui` returns its controls by the names of the arguments of `process`."""

    name: str | None = None
    order: float = 1000
    filename: str | None = None
    controls: dict[str, Any] | None = None
    args_from: int | None = None
    args_to: int | None = None
    group: Any = None
    extra_only = False
    main_ui_only = False

    def ui(self) -> dict[str, Any] | None:
        return {}

    def process_firstpass(self, pp: Any, **args: Any) -> None: ...

    def process(self, pp: Any, **args: Any) -> None: ...

    def image_changed(self) -> None: ...

    def elem_id(self, item_id: Any) -> str:
        name = re.sub(r"[^a-z_0-9]", "", re.sub(r"\s", "_", str(self.name or type(self).__name__).lower()))
        return f"script_extras_{name}_{item_id}"


def overrides(script: Script, method: str) -> bool:
    """True when the script's class, or the instance, has its own version of a method of `Script`."""
    own = getattr(script, method, None)
    return own is not None and getattr(own, "__func__", own) is not getattr(Script, method)


def list_scripts(
    scriptdirname: str, extension: str, *, extensions: tuple = (), program: Path | None = None
) -> list[ScriptFile]:
    """Files of one folder name: those of the program first, then those of every extension, sorted by name."""
    found = []
    roots = ([program] if program is not None else []) + [e.path for e in extensions if e.enabled]
    for root in roots:
        folder = root / scriptdirname
        names = sorted((p.name for p in folder.iterdir() if p.is_file()), key=str.lower) if folder.is_dir() else []
        found += [ScriptFile(str(root), name, str(folder / name)) for name in names if name.endswith(extension)]
    return found
