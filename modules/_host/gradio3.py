"""Gradio 3 on current Gradio: the real classes are changed in place, so that `isinstance` holds between an
extension's components and the program's own."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio import blocks, component_meta, context

from modules._host.attach import current
from modules._host.gradio3_events import wrap_events
from modules._host.gradio3_names import add_names, dropped_update, sketch_class
from modules._host.gradio3_translate import HIDDEN, translate
from modules._host.gradio_scope import old_spellings, speaks_old

#: what extensions of the Gradio 3 time expect to read
VERSION = "3.41.2"
#: marks the arguments of a component that an extension made; never reaches Gradio
MARK = "gradio3"
_BASES = frozenset(("gradio.components.base", "gradio.blocks"))


@dataclass(frozen=True)
class Accepted:
    """What a constructor takes: its names in order, those that may be given by position, and whether it takes more."""

    names: tuple[str, ...]
    positional: tuple[str, ...]
    more: bool

    @classmethod
    def of(cls, function: Callable[..., Any]) -> Accepted:
        parameters = list(inspect.signature(function).parameters.values())[1:]
        kinds = inspect.Parameter
        return cls(
            tuple(p.name for p in parameters if p.kind not in (kinds.VAR_KEYWORD, kinds.VAR_POSITIONAL)),
            tuple(p.name for p in parameters if p.kind is kinds.POSITIONAL_OR_KEYWORD),
            any(p.kind is kinds.VAR_KEYWORD for p in parameters),
        )


def install() -> bool:
    """Changes Gradio once for this process. False when that was done before."""
    if hasattr(blocks.Block, "_gradio3_native"):
        return False
    # Gradio writes a .pyi file beside every subclass of a component, and fails for classes made at run time.
    component_meta.create_or_modify_pyi = lambda *args, **kwargs: None
    native = frozenset(c for c in _subclasses(blocks.Block) if c.__module__.startswith("gradio"))
    blocks.Block._gradio3_native = native
    for cls in native:
        if "__init__" in vars(cls) and not issubclass(cls, blocks.Blocks):
            cls.__init__ = _wrapped_init(cls, vars(cls)["__init__"])
    _keep_identity(native)
    _patch_updates(native)
    wrap_events(native)
    add_names(native)
    gr.__version__ = VERSION
    return True


def _subclasses(cls: type) -> set[type]:
    found = set()
    for sub in cls.__subclasses__():
        found |= {sub, *_subclasses(sub)}
    return found


def nearest(cls: type) -> type:
    """Gradio's own class that a component is of: itself, or what an extension's class was made from."""
    native = blocks.Block._gradio3_native
    # FormComponent and other bases come first in the order of some classes, but are no component themselves.
    return next((c for c in cls.__mro__ if c in native and c.__module__ not in _BASES), cls)


def in_event() -> bool:
    return bool(context.LocalContext.in_event_listener.get(False))


# -- construction ----------------------------------------------------------------------------------------------


def _wrapped_init(cls: type, original: Callable[..., Any]) -> Callable[..., Any]:
    accepted = Accepted.of(original)

    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> Any:
        # Only the outermost call is an extension's or the page's; those inside are Gradio's own.
        if vars(self).get("_gradio3_inside") or vars(self).get("_is_initialized"):
            return original(self, *args, **kwargs)
        vars(self)["_gradio3_inside"] = True
        given, marked = dict(kwargs), kwargs.pop(MARK, False)
        old = marked or speaks_old()
        if len(args) > len(accepted.positional):
            # In Gradio 3 every argument could be given by position.
            for name, value in zip(accepted.names[len(accepted.positional) :], args[len(accepted.positional) :]):
                kwargs.setdefault(name, value)
            args = args[: len(accepted.positional)]
        tooltip = translate(cls, kwargs, accepted.names, accepted.more) if old else kwargs.pop("tooltip", None)
        tell = current() if kwargs.get("render", True) and not in_event() else None
        try:
            if tell is not None:
                tell.components.before(self, given)
            result = original(self, *args, **kwargs)
        finally:
            vars(self).pop("_gradio3_inside", None)
        self._gradio3_args = dict(zip(accepted.positional, args)) | kwargs | ({MARK: True} if old else {})
        self.webui_tooltip = tooltip
        _add_classes(self)
        if tell is not None:
            tell.components.after(self, given)
        return result

    return __init__


def _add_classes(component: Any) -> None:
    """Style sheets of extensions go by `gradio-<name>`."""
    if hasattr(component, "elem_classes"):
        added = [f"gradio-{nearest(type(component)).__name__.lower()}"]
        added += ["multiselect"] if getattr(component, "multiselect", False) else []
        component.elem_classes = added + [c for c in component.elem_classes or () if c not in added]


# -- classes of extensions stand for the class they come from --------------------------------------------------


def _keep_identity(native: frozenset[type]) -> None:
    for cls in (blocks.Block, *native):
        if "get_config" in vars(cls) and not issubclass(cls, blocks.Blocks):
            cls.get_config = _config_of_native(vars(cls)["get_config"])
    blocks.Block.get_block_class = _block_class
    own_name = blocks.Block.get_block_name

    def get_block_name(self: Any) -> str:
        return own_name(self) if type(self) in native else _block_class(self)

    blocks.Block.get_block_name = get_block_name
    class_id = blocks.Block.get_component_class_id.__func__
    blocks.Block.get_component_class_id = classmethod(lambda cls: class_id(nearest(cls)))


def _block_class(self: Any) -> str:
    cls = nearest(type(self))
    return cls.__base__.__name__.lower() if "is_template" in vars(cls) else cls.__name__.lower()


def _config_of_native(original: Callable[..., Any]) -> Callable[..., Any]:
    takes_class = "cls" in inspect.signature(original).parameters

    @functools.wraps(original)
    def get_config(self: Any, cls: type | None = None, *args: Any, **kwargs: Any) -> dict[str, Any]:
        config = original(self, cls or nearest(type(self)), *args, **kwargs) if takes_class else original(self)
        if getattr(self, "webui_tooltip", None):
            config["webui_tooltip"] = self.webui_tooltip
        return config

    return get_config


# -- updates from event handlers -------------------------------------------------------------------------------


def _patch_updates(native: frozenset[type]) -> None:
    def constructor_args(self: Any) -> dict[str, Any]:
        own = getattr(self, "_gradio3_args", None)
        if own is None:
            own = (getattr(self, "_constructor_args", None) or [{}])[0]
        return dict(own)

    blocks.Block.constructor_args = property(constructor_args)

    def __call__(cls: type, *args: Any, **kwargs: Any) -> Any:
        sketch = cls.__name__ == "Image" and cls in native and _is_sketch(kwargs)
        if sketch and (speaks_old() or kwargs.get(MARK)):
            return sketch_class()(*args, **kwargs)
        # An update makes the component anew from its arguments; an extension's own class does not know those.
        if cls not in native and in_event() and kwargs.get("render") is False:
            cls = nearest(cls)
        if not kwargs.get(MARK):
            return type.__call__(cls, *args, **kwargs)
        with old_spellings():
            return type.__call__(cls, *args, **kwargs)

    component_meta.ComponentMeta.__call__ = __call__
    original = blocks.postprocess_update_dict

    def postprocess_update_dict(block: Any, update_dict: dict, postprocess: bool = True) -> dict:
        seen = "visible" in update_dict and isinstance(block, blocks.BlockContext)
        update_dict = {key: value for key, value in update_dict.items() if key != MARK}
        made = original(block, dropped_update(update_dict), postprocess)
        if seen and getattr(block, "_gradio3_args", {}).get(MARK):
            # Layouts of extensions are hidden by a class, since Gradio would take them out of the page.
            made["visible"], made["elem_classes"] = True, list(block.elem_classes)
        return made

    blocks.postprocess_update_dict = postprocess_update_dict


def _is_sketch(kwargs: dict[str, Any]) -> bool:
    return kwargs.get("tool") in ("sketch", "color-sketch") or kwargs.get("source") == "canvas"


class BlocksView:
    """A page as Gradio 3 showed it: `fns` is a list, `dependencies` a list of dicts with `trigger` and `targets`."""

    def __init__(self, page: Any) -> None:
        vars(self)["_page"] = page

    def __getattr__(self, name: str) -> Any:
        return getattr(self._page, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._page, name, value)

    @property
    def fns(self) -> list[Any]:
        return list(self._page.fns.values())

    @property
    def dependencies(self) -> list[dict[str, Any]]:
        found = []
        for function in self._page.fns.values():
            entry = dict(function.get_config())
            targets = entry.get("targets") or []
            entry["trigger"] = targets[0][1] if targets else None
            entry["targets"] = [target[0] for target in targets]
            found.append(entry)
        return found

    def __enter__(self) -> Any:
        return self._page.__enter__()

    def __exit__(self, *exc: Any) -> Any:
        return self._page.__exit__(*exc)


__all__ = ["HIDDEN", "BlocksView", "install", "nearest"]
