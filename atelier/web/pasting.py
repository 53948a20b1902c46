"""Pasting: parameters as text, from a picture, the prompt or the last run, become values of the controls."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr

from atelier.app import App
from atelier.base.errors import AtelierError, BadRequest
from atelier.base.log import fields, logger
from atelier.params.infotext import FEWEST_PAIRS, parse_infotext, paste
from atelier.params.request import GenerationRequest
from atelier.web.panel import Panel
from atelier.web.submit import read_wire, write_overrides

log = logger(__name__)

#: what "send to" leaves alone when settings say so
_UNSENT = {
    "send_seed": ("Seed", "Variation seed", "Variation seed strength", "Seed resize from-1", "Seed resize from-2"),
    "send_size": ("Size-1", "Size-2"),
}.items()


def last_infotext(app: App) -> str:
    """The parameters of the last run, as they stand in params.txt; empty when there was none."""
    try:
        return (app.paths.data / "params.txt").read_text("utf-8")
    except OSError:
        return ""


def read_infotext(app: App, text: str, sent: bool = False) -> dict[str, Any]:
    """Keys and values of a text, after settings and extensions had their say. `sent`: it comes from another tab."""
    settings = app.settings
    skip = set(settings.get("infotext_skip_pasting"))
    for key, labels in _UNSENT:
        if sent and not settings.get(key):
            skip.update(labels)
    values = parse_infotext(
        text, backcompat=settings.get("auto_backcompat"), skip=skip, styles=settings.get("infotext_styles"),
        extract_styles=app.styles.extract,
    )  # fmt: skip
    if sent:
        # `defaults` fills some keys in again that were to be skipped; those are never written by the page.
        values = {key: value for key, value in values.items() if key not in skip}
    app.plugins.relay.amend_pasted(app=app, infotext=text, values=values)
    return values


def paster(app: App, panel: Panel) -> Callable[..., list[Any]]:
    """(wire, values of the form) -> values of `paste_outputs`.

    The wire tells `text`, or nothing: then the prompt is taken if it holds parameters, else the last run. With
    `only` just the labels in that list are pasted; `sent` says that the text comes with a picture of another tab.
    """

    def pasted(wire: str, *shown: Any) -> list[Any]:
        unchanged = [gr.skip() for _ in paste_outputs(panel)]
        try:
            told = read_wire(wire)
            text = str(told.get("text") or "") or _own_text(app, panel, shown)
            if not text.strip():
                return unchanged
            values = read_infotext(app, text, bool(told.get("sent")))
            if isinstance(told.get("only"), list):
                values = {key: value for key, value in values.items() if key in told["only"]}
            return _laid_over(app, panel, values, shown)
        except AtelierError as error:
            raise gr.Error(str(error), print_exception=False) from error

    return pasted


def paste_outputs(panel: Panel) -> list[Any]:
    scripts = [component for component, _ in panel.area.paste_fields] if panel.area is not None else []
    return [*panel.form.inputs, panel.overrides, *scripts]


def _own_text(app: App, panel: Panel, shown: tuple[Any, ...]) -> str:
    prompt = str(shown[list(panel.form.controls).index("prompt.positive")] or "")
    last_line = prompt.strip().rpartition("\n")[2]
    if last_line.count(":") >= FEWEST_PAIRS:
        return prompt
    return last_infotext(app) if not prompt.strip() else prompt


def _laid_over(app: App, panel: Panel, values: Mapping[str, Any], shown: tuple[Any, ...]) -> list[Any]:
    try:
        base = panel.form.request(shown[: len(panel.form.controls)])
    except BadRequest:
        # What stands there cannot be used anyhow.
        base = GenerationRequest()
    rules = dataclasses.replace(app.paste_rules(panel.tab), fields=frozenset(panel.form.controls))
    found = paste(values, base, rules)
    for label, problem in found.problems.items():
        log.warning("pasted value left out: %s", fields(label=label, reason=problem))
    texts = write_overrides(app, found.overrides)
    scripts = [_script_value(key, values) for _, key in panel.area.paste_fields] if panel.area is not None else []
    return [*panel.form.show(found.request), gr.update(value=texts, choices=texts), *scripts]


def _script_value(key: Any, values: Mapping[str, Any]) -> Any:
    if callable(key):
        value = key(dict(values))
    else:
        value = values.get(key)
    return gr.skip() if value is None else value


def style_applier(app: App) -> Callable[[str, str, list[str]], tuple[str, str, list[str]]]:
    """(prompt, negative, names) -> the same with the styles written out and none chosen."""

    def apply(prompt: str, negative: str, names: list[str]) -> tuple[str, str, list[str]]:
        prompt, negative = app.styles.apply(prompt or "", negative or "", names or [])
        return prompt, negative, []

    return apply
