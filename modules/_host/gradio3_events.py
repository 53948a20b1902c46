"""Gradio 3's way to attach events: `_js`, `every`, positions and absent inputs."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import gradio as gr
from gradio import blocks, events

from modules._host.gradio_scope import speaks_old

_POSITIONS = ("fn", "inputs", "outputs", "api_name")
_GONE = ("status_tracker", "postprocess_old", "collects_event_data")


def wrap_events(native: Iterable[type]) -> None:
    names = frozenset(inspect.signature(gr.Button.click).parameters)
    for cls in (*native, blocks.Blocks):
        for event in getattr(cls, "EVENTS", ()):
            listener = vars(cls).get(str(event))
            if callable(listener) and not hasattr(listener, "_gradio3"):
                setattr(cls, str(event), _wrapped(listener, str(event), names))
    for cls in blocks.Blocks.__mro__:
        listener = vars(cls).get("load")
        if callable(listener) and not hasattr(listener, "_gradio3"):
            cls.load = _wrapped(listener, "load", names)
    _wrap_chains(names)


def _wrap_chains(names: frozenset[str]) -> None:
    """`.then` and its kin, which are made anew on each dependency."""
    original = events.Dependency.__init__

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        for name in ("then", "success", "failure"):
            listener = getattr(self, name, None)
            if listener is not None:
                setattr(self, name, _chained(listener, name, names))

    events.Dependency.__init__ = __init__


def _chained(listener: Callable[..., Any], name: str, names: frozenset[str]) -> Callable[..., Any]:
    wrapped = _wrapped(lambda _, *args, **kwargs: listener(*args, **kwargs), name, names)
    return functools.partial(wrapped, None)


def _wrapped(original: Callable[..., Any], event: str, names: frozenset[str]) -> Callable[..., Any]:
    @functools.wraps(original)
    def listener(block: Any, *args: Any, **kwargs: Any) -> Any:
        given = dict(zip(_POSITIONS, args)) | kwargs
        if "_js" in given:
            code = given.pop("_js")
            given.setdefault("fn", None)
            if code:
                given["js"] = adapted(code, given.get("inputs"), given.get("outputs"), callable(given.get("fn")))
        every = given.pop("every", None)
        _rename(given)
        if speaks_old():
            given.setdefault("api_visibility", "undocumented")
        given = {key: value for key, value in given.items() if key in names}
        if every:
            return _repeated(original, block, event, given, every)
        return original(block, **given)

    listener._gradio3 = True  # type: ignore[attr-defined]
    return listener


def _rename(given: dict[str, Any]) -> None:
    for name in _GONE:
        given.pop(name, None)
    if given.get("queue", False) is None:
        given.pop("queue")
    if given.get("api_name", "") is False:
        given.pop("api_name")
        given["api_visibility"] = "private"
    if "show_progress" in given:
        shown = given["show_progress"]
        given["show_progress"] = {True: "full", False: "hidden", None: "hidden"}.get(shown, shown)
    for name in ("inputs", "outputs"):
        if isinstance(given.get(name), (list, tuple)):
            given[name] = [item for item in given[name] if item is not None]


def _repeated(original: Callable, block: Any, event: str, given: dict[str, Any], every: float) -> Any:
    timer = gr.Timer(every, active=event == "load")
    dependency = timer.tick(given.get("fn"), given.get("inputs"), given.get("outputs"), show_progress="hidden")
    if event != "load":
        original(block, lambda: gr.Timer(active=True), None, [timer])
    return dependency


def adapted(code: str, inputs: Any, outputs: Any, with_function: bool) -> str:
    """The browser function of Gradio 3: it was handed the inputs and then the outputs, whose places get null.

    A bare name is looked up when the event happens, since the extension's script may not have been read yet.
    """
    cut = f"if(Array.isArray(r)&&r.length>{_count(inputs)}) r=r.slice(0,{_count(inputs)});" if with_function else ""
    call = f"({code.strip().rstrip(';')})(...a, ...Array({_count(outputs)}).fill(null))"
    return f"async (...a) => {{ let r = await {call}; {cut} return r; }}"


def _count(items: Any) -> int:
    return len(items) if isinstance(items, (list, tuple, set)) else int(items is not None)
