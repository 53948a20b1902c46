"""Names that Gradio 3 had and current Gradio has not: Box, Variable, inputs, `.update()`, `.style()`, sketches."""

from __future__ import annotations

import base64
import io
import sys
import types
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import gradio as gr
import numpy as np
from gradio import blocks, components, helpers, layouts, processing_utils
from PIL import Image

_STYLES = frozenset(("container", "columns", "rows", "height", "object_fit", "preview", "equal_height", "size"))


def add_names(native: Iterable[type]) -> None:
    gr.Box = type("Box", (layouts.Group,), {})
    gr.Variable = gr.State
    components.IOComponent = components.Component
    for name, value in (("Form", layouts.Form), ("FormComponent", components.Component)):
        if not hasattr(components, name):
            setattr(components, name, value)
    for cls in native:
        if not issubclass(cls, blocks.Blocks):
            if "update" not in vars(cls):
                cls.update = classmethod(_update)
            cls.style = _style
    for name in ("inputs", "outputs"):
        module = types.ModuleType(f"gradio.{name}")
        vars(module).update({n: c for n, c in vars(components).items() if isinstance(c, type)})
        sys.modules[module.__name__] = module
        setattr(gr, name, module)
    _deprecation()
    for name, function in (("decode_base64_to_image", _decode), ("encode_pil_to_base64", _encode)):
        if not hasattr(processing_utils, name):
            setattr(processing_utils, name, function)


def _deprecation() -> None:
    module = types.ModuleType("gradio.deprecation")
    module.GradioDeprecationWarning = type("GradioDeprecationWarning", (UserWarning,), {})
    module.warn_deprecation = lambda *args, **kwargs: None
    sys.modules[module.__name__] = module
    gr.deprecation = module


def _update(cls: type, *args: Any, **kwargs: Any) -> dict[str, Any]:
    if args:
        kwargs["value"] = args[0]
    return helpers.update(**kwargs)


def dropped_update(update: dict[str, Any]) -> dict[str, Any]:
    """An update without what only Gradio 3 knew."""
    return {key: value for key, value in update.items() if key not in ("__type__", "webui_tooltip")}


def _style(self: Any, **kwargs: Any) -> Any:
    """Sets what still exists under the old name; everything else is a matter of style sheets now."""
    for name, value in kwargs.items():
        name = "columns" if name == "grid" else name
        if name == "columns" and isinstance(value, (list, tuple)):
            value = value[0]
        if name in _STYLES:
            setattr(self, name, value)
            getattr(self, "_gradio3_args", {})[name] = value
    return self


def _decode(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text.split(",", 1)[-1])))


def _encode(image: Image.Image, *args: Any, **kwargs: Any) -> str:
    data = io.BytesIO()
    image.save(data, "PNG")
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()


@lru_cache(maxsize=1)
def sketch_class() -> type:
    """`gr.Image(tool="sketch")`: made when it is first asked for, because Gradio must be changed before."""

    class SketchImage(gr.ImageEditor):
        """Its value is a dict with `image` and `mask`, or for the colour tool the painted picture."""

        def __init__(
            self, *args: Any, tool: str = "sketch", brush_radius: int | None = None, brush_color: str = "#000000",
            shape: Any = None, **kwargs: Any,
        ) -> None:  # fmt: skip
            self._tool, self._kind = tool, kwargs.pop("type", "numpy")
            for name in ("source", "image_mode"):
                kwargs.pop(name, None)
            kwargs.setdefault("sources", ["upload", "clipboard"])
            mode = "fixed" if tool == "sketch" else "defaults"
            brush = gr.Brush(default_size=brush_radius or 40, colors=[brush_color], color_mode=mode)
            super().__init__(*args, type="pil", brush=brush, layers=False, **kwargs)

        def preprocess(self, payload: Any) -> Any:
            value = super().preprocess(payload)
            if value is None or value["background"] is None:
                return None
            if self._tool != "sketch":
                return self._as(value["composite"].convert("RGB"))
            picture = value["background"].convert("RGB")
            mask = np.zeros((picture.height, picture.width), np.uint8)
            for layer in value["layers"]:
                mask = np.maximum(mask, np.asarray(layer.getchannel("A").resize(picture.size)))
            return {"image": self._as(picture), "mask": self._as(Image.fromarray(mask).convert("RGB"))}

        def postprocess(self, value: Any) -> Any:
            return super().postprocess(value["image"] if isinstance(value, dict) and "image" in value else value)

        def _as(self, picture: Image.Image) -> Any:
            return picture if self._kind == "pil" else np.asarray(picture)

    return SketchImage
