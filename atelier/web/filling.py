"""Filling: what the controls show when a page opens or the engine becomes ready: lists, kept values, first values."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gradio as gr

from atelier.app import App
from atelier.base.errors import AtelierError
from atelier.base.log import fields, logger
from atelier.params.capabilities import Capabilities
from atelier.params.field import Declaration
from atelier.web.forms import Control, Form, component_for
from atelier.web.panel import PROMPT_HINT, Panel
from atelier.web.submit import client_name, read_wire

log = logger(__name__)


def names_of(app: App, source: str) -> Sequence[str]:
    """The choices behind a declaration; styles are known to the server itself."""
    if source == "styles":
        return app.styles.names()
    known = app.capabilities()
    return known.choices(source) if known is not None else ()


class QuickSettings:
    """The row above the tabs: settings that are changed at once."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.controls: dict[str, Any] = {}

    def place(self) -> None:
        for key in self.app.settings.get("quicksettings_list"):
            declaration = self.app.settings.declarations.get(key)
            if declaration is None:
                log.warning("quick setting does not exist: %s", fields(key=key))
                continue
            self.controls[key] = self._component(declaration)

    def _component(self, declaration: Declaration) -> Any:
        choices = declaration.param.choices
        names = list(names_of(self.app, choices)) if isinstance(choices, str) else []
        settings = {
            "label": declaration.param.label or declaration.name,
            "value": _shown(self.app.settings.get(declaration.name)),
            "elem_id": f"setting_{declaration.name}",
            "interactive": True,
        }
        return component_for(declaration, (), names, settings)

    def changer(self, key: str) -> Callable[[Any], str]:
        """Sets a value; a checkpoint is loaded by a job whose id is returned, so that the page can show it."""

        def change(value: Any) -> str:
            try:
                ticket = self.app.set_options({key: value}).ticket
            except AtelierError as error:
                raise gr.Error(str(error), print_exception=False) from error
            return ticket.id if ticket is not None else ""

        return change

    def show(self) -> list[Any]:
        """The present values with their choices."""
        found = []
        for key in self.controls:
            choices = self.app.settings.declarations[key].param.choices
            value = _shown(self.app.settings.get(key))
            if key == "sd_model_checkpoint" and not value:
                known = self.app.capabilities()
                value = known.model if known is not None else value
            names = list(names_of(self.app, choices)) if isinstance(choices, str) else []
            found.append(gr.update(choices=names, value=value) if names else value)
        return found


def _shown(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


#: the values that suit a model when nobody has chosen any
SIZE = frozenset({"size.width", "size.height"})


def fill_outputs(quick: QuickSettings, panels: Sequence[Panel]) -> list[Any]:
    return [*quick.controls.values(), *(component for panel in panels for component in panel.form.inputs)]


def page_state(known: Capabilities | None, settled: bool) -> str:
    """What scripts are told after a filling. Until `settled` the size on the controls is nobody's choice yet."""
    needs = known.needs if known is not None else ()
    return json.dumps({"native": native_size(known), "settled": settled, "needs": needs})


def opener(app: App, quick: QuickSettings, panels: Sequence[Panel]) -> Callable[..., list[Any]]:
    """For a page that opens: lists, and on the controls what this browser had, else what suits the model."""

    def opened(wire: str, request: gr.Request) -> list[Any]:
        client = client_name(read_wire(wire))
        found, first = quick.show(), first_values(app)
        settled = bool(first)
        for panel in panels:
            kept = _kept(app, panel.form, client, alone=not request.username)
            settled = settled or SIZE <= kept.keys()
            found += filled(app, panel.form, {**first, **kept})
        return [*found, page_state(app.capabilities(), settled)]

    return opened


def refresher(app: App, quick: QuickSettings, panels: Sequence[Panel]) -> Callable[..., list[Any]]:
    """For a page that is open when the engine gets ready or its lists change. Wire: `follow`, the tabs whose size
    nobody has chosen, or is that of the model before; it becomes the model's own."""

    def refreshed(wire: str) -> list[Any]:
        following = read_wire(wire).get("follow") or ()
        found, first = quick.show(), first_values(app)
        for panel in panels:
            found += filled(app, panel.form, first if panel.tab in following else {})
        return [*found, page_state(app.capabilities(), bool(first))]

    return refreshed


def style_offerer(app: App) -> Callable[..., Any]:
    """(wire, chosen styles of each tab) -> their dropdowns with the styles there are. Wire: `gone`, names that were
    deleted on this page, which are chosen no longer. Other names stay, known or not."""

    def offered(wire: str, *chosen: list[str] | None) -> Any:
        names = list(app.styles.names())
        told = read_wire(wire).get("gone")
        gone = {str(name) for name in told if name not in names} if isinstance(told, list) else set()
        found = [
            gr.update(choices=names, value=[name for name in shown if name not in gone])
            if shown and gone.intersection(shown)
            else gr.update(choices=names)
            for shown in chosen
        ]
        # Gradio takes a list for the value where there is one dropdown.
        return found if len(found) > 1 else found[0]

    return offered


def _kept(app: App, form: Form, client: str, alone: bool) -> Mapping[str, Any]:
    """What this browser had; for a new one what was there last, if there are no users to be told apart."""
    try:
        own = app.sessions.load(client, form.tab) if client else None
        kept = own or (app.sessions.latest(form.tab) if alone else None)
    except AtelierError as error:
        log.warning("kept controls could not be read: %s", fields(tab=form.tab, reason=str(error)))
        kept = None
    return kept or {}


def first_values(app: App) -> dict[str, Any]:
    """What suits the loaded model where nothing was chosen yet: its own size."""
    width, height = native_size(app.capabilities())
    return {"size.width": width, "size.height": height} if width and height else {}


def native_size(known: Capabilities | None) -> tuple[int, int]:
    """(0, 0) while no model is loaded."""
    return known.native_size if known is not None else (0, 0)


def prompt_hint(known: Capabilities | None) -> str:
    """What an empty prompt shows: a text that the loaded model draws well, where it names one."""
    example = known.example_prompt if known is not None else ""
    return f"{PROMPT_HINT[0]}, such as: {example}\n{PROMPT_HINT[1]}" if example else "\n".join(PROMPT_HINT)


def filled(app: App, form: Form, values: Mapping[str, Any]) -> list[Any]:
    """What the components of a form have to hold: the given values, and choices where the engine knows them."""
    shown = form.show_some(values)
    for index, control in enumerate(form.controls.values()):
        if control.path == "prompt.positive":
            shown[index] = _with_hint(app, control, values)
        names = names_of(app, control.source) if control.source else ()
        if names:
            shown[index] = _with_choices(control, names, values)
    return shown


def _with_hint(app: App, control: Control, values: Mapping[str, Any]) -> Any:
    hint = prompt_hint(app.capabilities())
    if control.path not in values:
        return gr.update(placeholder=hint)
    return gr.update(placeholder=hint, value=control.show(values[control.path]))


def _with_choices(control: Control, names: Sequence[str], values: Mapping[str, Any]) -> Any:
    choices = control.listed(names)
    if control.path not in values:
        return gr.update(choices=choices)
    value = control.show(values[control.path])
    return gr.update(choices=choices, value=value)
