"""The keywords of Gradio 3's constructors, told to current Gradio."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

from gradio import blocks

from atelier.base.log import fields, logger

log = logger(__name__)

#: the class that hides a layout while it stays in the page
HIDDEN = "gradio3-hidden"
#: without a place in the page whatever `visible` says
_UNSEEN = frozenset(("State", "Timer", "BrowserState"))


def translate(cls: type, kwargs: dict[str, Any], accepted: tuple[str, ...], more: bool) -> str | None:
    """Changes `kwargs` in place to what `cls` accepts; unknown ones are dropped. Returns the tooltip."""
    name = cls.__name__
    _visibility(cls, name, kwargs)
    for rule in RULES.get(name, ()):
        rule(kwargs)
    for rule in RULES["*"]:
        rule(kwargs)
    tooltip = kwargs.pop("tooltip", None)
    if not more:
        unknown = [key for key in kwargs if key not in accepted]
        for key in unknown:
            kwargs.pop(key)
        if unknown:
            log.debug(
                "keywords that Gradio no longer has, ignored: %s", fields(component=name, names=",".join(unknown))
            )
    return tooltip


def _visibility(cls: type, name: str, kwargs: dict[str, Any]) -> None:
    """In Gradio 3 what is invisible stays in the page, where scripts find and click it."""
    if name in _UNSEEN or "visible" not in kwargs:
        return
    if not issubclass(cls, blocks.BlockContext):
        if kwargs["visible"] is False:
            kwargs["visible"] = "hidden"
        return
    classes = kwargs.get("elem_classes") or []
    classes = [c for c in ([classes] if isinstance(classes, str) else classes) if c != HIDDEN]
    kwargs["elem_classes"] = classes if kwargs["visible"] else [*classes, HIDDEN]
    kwargs["visible"] = True


def _image(kwargs: dict[str, Any]) -> None:
    if "source" in kwargs:
        source = kwargs.pop("source")
        kwargs.setdefault("sources", [source] if source == "webcam" else ["upload", "clipboard"])
    kwargs.setdefault("format", "png")
    if kwargs.get("type") == "file":
        kwargs["type"] = "filepath"


def _gallery(kwargs: dict[str, Any]) -> None:
    kwargs.setdefault("format", "png")
    # Galleries only showed pictures then; now they also ask for some.
    kwargs.setdefault("interactive", False)


def _file(kwargs: dict[str, Any]) -> None:
    kwargs["type"] = {"file": "filepath", "bytes": "binary"}.get(kwargs.get("type"), kwargs.get("type", "filepath"))


def _dropdown(kwargs: dict[str, Any]) -> None:
    # Current Gradio chooses the first entry where nothing was said.
    kwargs.setdefault("value", [] if kwargs.get("multiselect") else None)


def _table(kwargs: dict[str, Any]) -> None:
    if "col_count" in kwargs:
        columns = kwargs.pop("col_count")
        kwargs["column_count"] = columns[0] if isinstance(columns, tuple) else columns
    if isinstance(kwargs.get("row_count"), tuple):
        kwargs["row_count"] = kwargs["row_count"][0]


def _text(kwargs: dict[str, Any]) -> None:
    # An empty box gave an empty text; now it gives None.
    if kwargs.get("value") is None:
        kwargs["value"] = ""


def _copy_button(kwargs: dict[str, Any]) -> None:
    if kwargs.pop("show_copy_button", False):
        kwargs["buttons"] = ["copy"]


def _row(kwargs: dict[str, Any]) -> None:
    for name in ("variant", "equal_height"):
        if name in kwargs and kwargs[name] is None:
            kwargs.pop(name)


def _button(kwargs: dict[str, Any]) -> None:
    if kwargs.get("variant") == "tool":
        kwargs["variant"] = "secondary"
        classes = kwargs.get("elem_classes") or []
        kwargs["elem_classes"] = [*([classes] if isinstance(classes, str) else classes), "tool"]


def _slider(kwargs: dict[str, Any]) -> None:
    for old, new in (("default", "value"), ("min", "minimum"), ("max", "maximum")):
        if old in kwargs:
            kwargs.setdefault(new, kwargs.pop(old))


def _any(kwargs: dict[str, Any]) -> None:
    if kwargs.get("label") == "" and "show_label" not in kwargs:
        # An empty label is now taken for none, and the component's kind written in its place.
        kwargs["show_label"] = False
    if isinstance(kwargs.get("elem_classes"), (set, tuple)):
        kwargs["elem_classes"] = list(kwargs["elem_classes"])
    if isinstance(kwargs.get("scale"), float):
        kwargs["scale"] = max(1, round(kwargs["scale"])) if kwargs["scale"] else 0
    if isinstance(kwargs.get("min_width"), float):
        kwargs["min_width"] = int(kwargs["min_width"])


RULES: MappingProxyType[str, tuple[Callable[[dict[str, Any]], None], ...]] = MappingProxyType({
    "Image": (_image,), "ImageEditor": (_image,), "Gallery": (_gallery,), "File": (_file,), "UploadButton": (_file,),
    "Dropdown": (_dropdown,), "Dataframe": (_table,), "DataFrame": (_table,), "Textbox": (_text, _copy_button),
    "TextArea": (_text,), "Text": (_text,), "Code": (_copy_button,), "Row": (_row,), "Button": (_button,),
    "Slider": (_slider,), "Checkbox": (_slider,), "*": (_any,),
})  # fmt: skip
