"""ScriptControls: the declared values of a built-in script as Gradio components, in the order of A1111's arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gradio as gr

from atelier.app import App
from atelier.base.errors import AtelierError, BadRequest
from atelier.params.axes import GridAxis, grid_axes
from atelier.params.field import Declaration
from atelier.params.parts import MASKED_CONTENT
from atelier.params.scripts import BuiltinScript
from atelier.params.sweep import split_csv
from atelier.web.filling import names_of
from atelier.web.forms import component_for
from atelier.web.markup import markup

#: (item) -> the id of a control
ElemId = Callable[[str], str]
_QUIET = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}.items()
_FILES = (".txt", ".csv", ".prompts")


class ScriptControls:
    """Made while a tab is built. `paste_fields` say what pasted parameters do to the controls."""

    def __init__(self, app: App, script: BuiltinScript, kind: str, elem_id: ElemId) -> None:
        self._app = app
        self._script = script
        self._kind = kind
        self._id = elem_id
        self.components: dict[str, Any] = {}
        self.paste_fields: list[tuple[Any, Any]] = []

    def place(self) -> list[Any]:
        notes = [self._note(text, place) for place, text in enumerate(self._script.notes)]
        if self._script.name == "xyz_plot":
            self._place_grid()
        else:
            for declaration in self._script.declarations:
                self._make(declaration)
        if self._script.name == "prompts_from_file":
            self._file()
        for declaration in self._script.declarations:
            self.paste_fields.append((self.components[declaration.name], self._pasted(declaration)))
        return [*notes, *(self.components[d.name] for d in self._script.declarations)]

    def _note(self, text: str, place: int) -> Any:
        return markup(f"<p>{text}</p>", elem_id=self._id(f"info{place or ''}"), classes=["script-note"])

    def _declaration(self, name: str) -> Declaration:
        return next(d for d in self._script.declarations if d.name == name)

    def _make(self, declaration: Declaration, **changes: Any) -> Any:
        told = declaration.param
        default = declaration.default
        settings = {
            "label": told.label, "value": list(default) if isinstance(default, tuple) else default,
            "elem_id": self._id(declaration.name), "interactive": True, **changes,
        }  # fmt: skip
        if told.widget == "radio":
            made = gr.Radio(list(told.choices), **settings)
        elif told.widget == "checks":
            made = gr.CheckboxGroup(list(told.choices), **settings)
        elif told.widget == "lines":
            made = gr.Textbox(lines=3, max_lines=20, **settings)
        elif told.widget == "fill":
            made = gr.Radio(
                list(MASKED_CONTENT), type="index", **{**settings, "value": MASKED_CONTENT[declaration.default]}
            )
        elif told.widget == "upscaler":
            names = names_of(self._app, "upscalers") or [declaration.default]
            made = gr.Dropdown(list(names), allow_custom_value=True, **settings)
        else:
            made = component_for(declaration, (), [], settings)
        self.components[declaration.name] = made
        return made

    def _pasted(self, declaration: Declaration) -> Callable[[Mapping[str, Any]], Any]:
        """(keys and values of a text) -> what the control is set to, or None for as it is."""
        label, script = declaration.param.infotext, self._script
        if declaration.param.widget == "axis values":
            return self._pasted_choices(declaration.name[0].upper())

        def pasted(values: Mapping[str, Any]) -> Any:
            if not label or label not in values or str(values.get("Script", "")).lower() != script.title.lower():
                return None
            value = values[label]
            if declaration.kind == "list":
                return [word.strip() for word in str(value).split(",") if word.strip()]
            if declaration.param.widget == "fill":
                return value if value in MASKED_CONTENT else None
            try:
                return declaration.check(value)
            except BadRequest:
                # A text of another program, or of an older version.
                return None

        return pasted

    def _pasted_choices(self, dimension: str) -> Callable[[Mapping[str, Any]], Any]:
        """The same for the list of an axis with choices: those of them that the text names."""

        def pasted(values: Mapping[str, Any]) -> Any:
            choices = self._choices(str(values.get(f"{dimension} Type", "")))
            text = values.get(f"{dimension} Values")
            if str(values.get("Script", "")).lower() != self._script.title.lower() or choices is None or not text:
                return None
            return gr.update(choices=choices, value=[word for word in split_csv(str(text)) if word in choices])

        return pasted

    def _file(self) -> None:
        """A file beside the text box: what is in it goes into the box."""
        file = gr.File(label="Upload prompt inputs", type="binary", file_types=list(_FILES), elem_id=self._id("file"))

        def read(data: bytes | None) -> Any:
            return gr.skip() if data is None else data.decode("utf-8-sig", errors="replace")

        file.upload(read, [file], [self.components["prompt_txt"]], **dict(_QUIET))

    # -- the grid's axes

    def _place_grid(self) -> None:
        axes = self._axes()
        labels = [axis.label for axis in axes]
        for dimension in "xyz":
            self._axis_row(dimension, labels)
        with gr.Row(elem_classes=["script-row"]):
            with gr.Column():
                self._named("draw_legend", "no_fixed_seeds")
                with gr.Row():
                    self._named("vary_seeds_x", "vary_seeds_y", "vary_seeds_z")
            with gr.Column():
                self._named("include_lone_images", "include_sub_grids", "csv_mode")
            with gr.Column():
                self._named("margin_size")
        with gr.Row(elem_id=self._id("swap_axes"), elem_classes=["script-swap"]):
            for pair in ("xy", "yz", "xz"):
                self._swap(*pair)
        for dimension in "xyz":
            self._follow_type(dimension)

    def _named(self, *names: str) -> None:
        for name in names:
            self._make(self._declaration(name))

    def _axes(self) -> tuple[GridAxis, ...]:
        """Asked for at each use: extensions add theirs, and models come and go."""
        plugins = self._app.plugins
        parts = plugins.provided("provide_request_parts")
        more = plugins.provided("provide_axes", kind=self._kind)
        return grid_axes(self._kind, tuple(self._app.settings.declarations.values()), parts, more)

    def _choices(self, label: str) -> list[str] | None:
        """The values that an axis can be chosen from; None for an axis that is written."""
        axis = next((a for a in self._axes() if a.label == label), None)
        if axis is None or axis.choices is None:
            return None
        try:
            found = axis.choices() if callable(axis.choices) else axis.choices
        except AtelierError:
            # Its extension failed, which is noted with the extension; the values can still be written.
            return None
        return list(names_of(self._app, found)) if isinstance(found, str) else list(found)

    def _axis_row(self, dimension: str, labels: Sequence[str]) -> None:
        with gr.Row(elem_classes=["script-row"]):
            declaration = self._declaration(f"{dimension}_type")
            self.components[declaration.name] = gr.Dropdown(
                list(labels), label=declaration.param.label, value=declaration.default, min_width=140, scale=1,
                elem_id=self._id(declaration.name), interactive=True,
            )  # fmt: skip
            self._make(self._declaration(f"{dimension}_values"), lines=1, scale=2, min_width=180)
            declaration = self._declaration(f"{dimension}_values_dropdown")
            self.components[declaration.name] = gr.Dropdown(
                [], label=declaration.param.label, value=[], multiselect=True, allow_custom_value=True, visible=False,
                scale=2, min_width=180, elem_id=self._id(declaration.name), interactive=True,
            )  # fmt: skip
            fill = gr.Button(
                "Fill", elem_id=self._id(f"fill_{dimension}"), visible=False, size="sm", min_width=40, scale=0,
                elem_classes=["script-fill"],
            )  # fmt: skip
            self.components[f"fill_{dimension}"] = fill

    def _parts_of(self, dimension: str) -> list[Any]:
        names = (f"{dimension}_type", f"{dimension}_values", f"{dimension}_values_dropdown")
        return [self.components[name] for name in names]

    def _follow_type(self, dimension: str) -> None:
        """An axis with choices shows them to pick from, unless text is wanted; others show a line of text."""
        kind, text, picked = self._parts_of(dimension)
        fill, as_text = self.components[f"fill_{dimension}"], self.components["csv_mode"]

        def shown(label: str, written: str, chosen: list[str], plain: bool) -> list[Any]:
            choices = self._choices(label)
            if choices is None:
                return [gr.update(visible=True), gr.update(visible=False, value=[]), gr.update(visible=False)]
            kept = [value for value in chosen or () if value in choices]
            known = [value.strip() for value in (written or "").split(",") if value.strip() in choices]
            update = gr.update(visible=not plain, choices=choices, value=kept or known)
            return [gr.update(visible=plain), update, gr.update(visible=True)]

        def filled(label: str, plain: bool) -> list[Any]:
            choices = self._choices(label) or []
            return [", ".join(choices), gr.skip()] if plain else [gr.skip(), gr.update(value=choices)]

        for control in (kind, as_text):
            control.change(shown, [kind, text, picked, as_text], [text, picked, fill], **dict(_QUIET))
        fill.click(filled, [kind, as_text], [text, picked], **dict(_QUIET))

    def _swap(self, first: str, second: str) -> None:
        button = gr.Button(
            f"Swap {first.upper()}/{second.upper()} axes", size="sm", elem_id=self._id(f"{first}{second}_swap")
        )
        one, other = self._parts_of(first), self._parts_of(second)

        def swap(*values: Any) -> list[Any]:
            half = len(values) // 2
            return [*values[half:], *values[:half]]

        button.click(swap, [*one, *other], [*one, *other], **dict(_QUIET))
