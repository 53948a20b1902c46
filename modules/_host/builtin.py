"""The built-in scripts in the list of A1111's scripts: their controls, and nothing of their work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from atelier.base.errors import ExtensionError
from atelier.params.scripts import EXTRA, AskedScript, BuiltinScript, find_script
from atelier.web.script_controls import ScriptControls
from modules._host.attach import host
from modules._host.gradio_scope import new_spellings
from modules._host.script import Script


class BuiltinUI(Script):
    """`builtin` is the program's own declaration. A request that asks for it is taken over by the program; what the
    host does is to turn the values of the controls into that request."""

    builtin: BuiltinScript

    def title(self) -> str:
        return self.builtin.title

    def show(self, is_img2img: bool) -> bool:
        return ("img2img" if is_img2img else "txt2img") in self.builtin.kinds

    def ui(self, is_img2img: bool) -> list[Any]:
        with new_spellings():
            made = ScriptControls(host().app, self.builtin, "img2img" if is_img2img else "txt2img", self.elem_id)
            components = made.place()
        self.infotext_fields = made.paste_fields
        self.paste_field_names = [d.param.infotext for d in self.builtin.declarations if d.param.infotext]
        return components

    def run(self, p: Any, *args: Any) -> Any:
        """Only reached when an extension calls it by itself."""
        raise ExtensionError(
            f"{self.title()} is part of the program and cannot be run from inside another script.",
            remedy="Choose it in the list of scripts.", extension="scripts",
        )  # fmt: skip


def script_class(title: str, module: str) -> type[BuiltinUI]:
    """The class that a file in `scripts/` defines."""
    found = find_script(title, "img2img")
    assert found is not None, title
    return type("Script", (BuiltinUI,), {"builtin": found, "__module__": module})


def asked_by(runner: Any, values: list[Any]) -> Mapping[str, Any]:
    """The part of a request for the values of a tab's controls, when a built-in script is chosen; else nothing.

    Raises `BadRequest` for values that the script cannot take.
    """
    script = runner.selected(values)
    if not isinstance(script, BuiltinUI):
        return {}
    builtin = script.builtin
    named = builtin.from_args(runner.args_of(script, values))
    return {EXTRA: AskedScript(builtin, builtin.read(named)).to_extra()}


def title_update(titles: list[str]) -> Any:
    """What the list of scripts is set to by pasted parameters; nothing when they name no script that is here."""

    def chosen(values: dict[str, Any]) -> Any:
        wanted = str(values.get("Script", "")).lower()
        found = next((title for title in titles if title.lower() == wanted), None)
        return None if found is None else gr.update(value=found)

    return chosen
