"""ScriptPostprocessing: A1111's scripts of the Extras tab, their controls there, and their steps in a run."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import gradio as gr

from atelier.base.log import fields, logger
from atelier.plugins.guard import Guard
from modules._host.area import default_of
from modules._host.args import Packer
from modules._host.gradio_scope import old_spellings
from modules._host.load import ScriptLoader
from modules._host.script import ScriptPostprocessing

if TYPE_CHECKING:
    from atelier.pipeline.extras_state import ExtrasRun, PostPicture
    from atelier.pipeline.extras_steps import PostStep

log = logger(__name__)

#: the name of the values in `request.extras`
EXTRAS = "a1111-postprocessing"
_FAILED = object()


class PostArea:
    """The controls of all scripts in the Extras tab."""

    def __init__(self, scripts: PostScripts, packer: Packer) -> None:
        self._scripts = scripts
        self._packer = packer
        self.inputs = [control for script in scripts.scripts for control in (script.controls or {}).values()]
        self.paste_fields: list[tuple[Any, Any]] = []

    def pack(self, values: list[Any]) -> Mapping[str, Any]:
        """By the name of the script and of its argument."""
        told, rest = {}, iter(values)
        for script in self._scripts.scripts:
            told[script.name] = {name: self._packer.pack(next(rest)) for name in script.controls or {}}
        return {EXTRAS: told}


class PostScripts:
    """One instance of each script; made when the page is built, or the server has none."""

    def __init__(self, loader: ScriptLoader, guard: Guard, packer: Packer) -> None:
        self._loader = loader
        self._guard = guard
        self._packer = packer
        self.scripts: list[ScriptPostprocessing] = []
        self._built = False

    def initialize(self) -> None:
        self.scripts, self._built = [], False
        for data in self._loader.postprocessing:
            script = self._guard.call(self._loader.owner(data.path), "__init__", data.script_class)
            if script is None or getattr(script, "main_ui_only", False):
                continue
            script.filename = data.path
            script.name = str(script.name or data.script_class.__name__)
            self.scripts.append(script)
        self.scripts.sort(key=lambda script: (script.order, script.name))

    def build(self) -> None:
        """Makes the controls in the current place. A script whose controls fail is left out."""
        kept = []
        for script in self.scripts:
            with old_spellings(), gr.Group(elem_id=f"script_extras_{_word(script.name)}") as group:
                script.group = group
                owner = self._loader.owner(script.filename)
                controls = self._guard.call(owner, "ui", script.ui, default=_FAILED)
            if controls is _FAILED:
                continue
            script.controls = dict(controls or {})
            kept.append(script)
            log.debug("controls made: %s", fields(script=script.name, count=len(script.controls)))
        self.scripts, self._built = kept, True

    @property
    def built(self) -> bool:
        return self._built

    def steps(self, run: ExtrasRun) -> list[PostStep]:
        """A step for each script; who gave no values for it gets those of its controls."""
        return [self._step(script, run) for script in self.scripts]

    def _step(self, script: ScriptPostprocessing, run: ExtrasRun) -> PostStep:
        given = (run.request.extras.get(EXTRAS) or {}).get(script.name) or {}
        args = {name: default_of(control) for name, control in (script.controls or {}).items()}
        args |= {name: self._packer.unpack(value, args[name]) for name, value in given.items() if name in args}
        owner = self._loader.owner(script.filename)

        def call(method: str) -> Any:
            function = getattr(script, method)

            def work(run: ExtrasRun, picture: PostPicture) -> None:
                self._guard.call(owner, method, lambda: function(picture, **args))

            return work

        # Named and not imported: the server side must not load torch for this.
        step = importlib.import_module("atelier.pipeline.extras_steps").PostStep
        return step(script.name, script.order, lambda run: True, call("process"), script.name,
                    call("process_firstpass"))  # fmt: skip


def _word(name: str) -> str:
    return re.sub(r"[^a-z_0-9]", "", re.sub(r"\s", "_", name.lower()))
