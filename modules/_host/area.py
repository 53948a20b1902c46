"""ScriptArea: the controls of scripts in one tab, and their values as plain data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr

from atelier.base.log import fields, logger
from modules._host.args import EXTRAS, Packer
from modules._host.builtin import asked_by, title_update
from modules._host.gradio_scope import old_spellings
from modules._host.script import Script, overrides
from modules._host.script_runner import ScriptRunner

log = logger(__name__)
_FAILED = object()


class ScriptArea:
    """Built inside the tab. `inputs` are the dropdown and every script's controls, in the order of the arguments."""

    def __init__(self, runner: ScriptRunner, packer: Packer) -> None:
        self._runner = runner
        self._packer = packer
        self.inputs = list(runner.inputs)
        self.paste_fields = [(f[0], f[1]) for f in runner.infotext_fields]
        self.paste_fields.append((runner.inputs[0], title_update(runner.titles)))

    def pack(self, values: list[Any]) -> Mapping[str, Any]:
        asked = asked_by(self._runner, values)
        if asked:
            # The program runs it; for the extensions no script is chosen.
            values = [0, *values[1:]]
        return {EXTRAS: {"args": [self._packer.pack(value) for value in values]}, **asked}


def build_controls(runner: ScriptRunner) -> None:
    """Makes the controls of all scripts of a tab in the current place: always-on ones first, then the dropdown."""
    # The dropdown is the first argument and the last control, so its place is kept for it.
    runner.inputs, runner.defaults = [None], [0]
    for script in runner.alwayson_scripts:
        if script.create_group and overrides(script, "ui"):
            with gr.Group(elem_classes=["alwayson-script"]) as group:
                script.group = group
                create_script_ui(runner, script)
        else:
            create_script_ui(runner, script)
    dropdown = gr.Dropdown(
        label="Script", elem_id="script_list", choices=["None", *runner.titles], value="None", type="index"
    )
    runner.inputs[0] = dropdown
    for script in runner.selectable_scripts:
        with old_spellings(), gr.Group(visible=False) as group:
            script.group = group
            create_script_ui(runner, script)
    _show_selected(dropdown, [script.group for script in runner.selectable_scripts])


def create_script_ui(runner: ScriptRunner, script: Script) -> None:
    """Calls a script's `ui`. A script for which that fails takes no part in runs."""
    start = len(runner.inputs)
    script.args_from = script.args_to = None
    with old_spellings():
        controls = runner.guard.call(runner.owner(script), "ui", script.ui, script.is_img2img, default=_FAILED)
    if controls is _FAILED:
        script.controls = []
        return
    script.controls = [] if controls is None else list(controls if isinstance(controls, (list, tuple)) else [controls])
    for control in script.controls:
        if hasattr(control, "custom_script_source"):
            continue
        control.custom_script_source = script.filename
    runner.inputs += script.controls
    runner.defaults += [default_of(control) for control in script.controls]
    script.args_from, script.args_to = start, len(runner.inputs)
    runner.infotext_fields += list(script.infotext_fields or ())
    runner.paste_field_names += list(script.paste_field_names or ())
    script.api_info = [_described(control) for control in script.controls]
    log.debug("controls made: %s", fields(script=script.name, count=len(script.controls)))


def _show_selected(dropdown: Any, groups: list[Any]) -> None:
    if not groups:
        return

    def show(index: int | None) -> list[Any]:
        return [gr.update(visible=place == (index or 0)) for place in range(1, len(groups) + 1)]

    dropdown.change(show, [dropdown], groups, show_progress="hidden", queue=False)


def default_of(control: Any) -> Any:
    """The value that a script gets when nothing was said: as its control gives it to Python."""
    value = getattr(control, "value", None)
    if isinstance(value, Callable):
        value = value()
    if getattr(control, "type", None) == "index":
        values = _choice_values(control)
        if isinstance(value, list):
            return [values.index(v) for v in value if v in values]
        return values.index(value) if value in values else None
    return value


def _choice_values(control: Any) -> list[Any]:
    return [c[1] if isinstance(c, (list, tuple)) else c for c in getattr(control, "choices", None) or ()]


def _described(control: Any) -> dict[str, Any]:
    """One argument as `/sdapi/v1/script-info` tells of it."""
    choices = _choice_values(control) or None
    return {
        "label": getattr(control, "label", None) or "",
        "value": _plain(getattr(control, "value", None)),
        "minimum": getattr(control, "minimum", None),
        "maximum": getattr(control, "maximum", None),
        "step": getattr(control, "step", None),
        "choices": [str(choice) for choice in choices] if choices else None,
    }


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None
