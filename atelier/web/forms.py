"""Form: declared values as Gradio components, and their values as a request; one form for each tab."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import gradio as gr

from atelier.base.errors import BadRequest
from atelier.params.extras import find_extras_declaration
from atelier.params.field import Declaration
from atelier.params.finishing import find_step_value, gather_steps
from atelier.params.infotext import SAME_VALUES, WORDS
from atelier.params.parts import RESIZE_MODES
from atelier.params.request import GenerationRequest, find_declaration

#: Values of a request that no tab shows: pictures come from canvases, the others follow the settings or another value.
UNPLACED = frozenset({
    "source.images", "source.depth", "source.noise_multiplier", "mask.image", "mask.blur_y",
    "mask.round", "sampling.eta", "sampling.s_churn", "sampling.s_tmin", "sampling.s_tmax", "sampling.s_noise",
    "sampling.s_min_uncond", "hires.image", "output.save_images", "output.send_images", "output.tiling",
    "output.restore_faces",
})  # fmt: skip

#: what a slider shows for a value that may be empty: A1111's first value
FIRST = MappingProxyType({"source.image_cfg_scale": 1.5})

#: (list of `Capabilities`) -> the names in it
Choices = Callable[[str], Sequence[str]]
#: lists of which a control shows the engine's, once it is known
_LISTS = {"hires.sampler": "samplers", "hires.scheduler": "schedulers", "hires.checkpoint": "models",
          "refiner.checkpoint": "models"}.items()  # fmt: skip


@dataclass(frozen=True)
class Control:
    """One placed value. `words` are (value, what is shown) where people read words instead of numbers."""

    declaration: Declaration
    component: Any
    words: tuple[tuple[Any, str], ...] = ()

    @property
    def path(self) -> str:
        return self.declaration.path

    @property
    def source(self) -> str:
        """The list of `Capabilities` that its choices come from, or empty."""
        choices = self.declaration.param.choices
        return choices if isinstance(choices, str) else dict(_LISTS).get(self.path, "")

    def read(self, shown: Any) -> Any:
        """The value that a component's value stands for. Raises `BadRequest`."""
        for value, word in self.words:
            if shown == word:
                return value
        if self.path in SAME_VALUES and shown in ("", None, SAME_VALUES[self.path]):
            return None
        if shown is None and not self.declaration.optional:
            # An emptied number box counts as the default.
            return self.declaration.default
        return self.declaration.check(shown)

    def show(self, value: Any) -> Any:
        """The inverse of `read`."""
        if self.path in SAME_VALUES and value is None:
            return SAME_VALUES[self.path]
        if value is None and self.path in FIRST:
            return FIRST[self.path]
        if isinstance(value, tuple):
            return list(value)
        return dict(self.words).get(value, value)

    def listed(self, names: Sequence[str]) -> list[str]:
        """The choices of a dropdown for what the engine knows."""
        return [SAME_VALUES[self.path], *names] if self.path in SAME_VALUES else list(names)


class Form:
    """The placed values of one tab. `defaults` replaces declared defaults by dotted name."""

    #: where declarations of values are found by their dotted names
    find: Callable[[str], Declaration | None] = staticmethod(lambda p: find_declaration(p) or find_step_value(p))

    def __init__(self, tab: str, choices: Choices, defaults: Mapping[str, Any] | None = None) -> None:
        self.tab = tab
        self.controls: dict[str, Control] = {}
        self._choices = choices
        self._defaults = dict(defaults or {})

    def place(self, path: str, elem_id: str = "", **changes: Any) -> Any:
        """Makes the component of a declared value here. `changes` go to the component."""
        declaration = self.find(path)
        if declaration is None:
            raise ValueError(f"there is no declared value {path!r}")
        if path in self.controls:
            raise ValueError(f"{path!r} is placed twice in {self.tab}")
        words = _words(path)
        value = self._defaults.get(path, declaration.default)
        blank = Control(declaration, None, words)
        choices = blank.listed(self._choices(blank.source)) if blank.source else []
        settings = {
            "label": declaration.param.label,
            "value": blank.show(value),
            "elem_id": elem_id or f"{self.tab}_{declaration.param.elem or declaration.name}",
            **changes,
        }
        component = component_for(declaration, words, choices, settings)
        self.controls[path] = Control(declaration, component, words)
        return component

    @contextmanager
    def row(self, *paths: str, **settings: Any) -> Iterator[Any]:
        """A row with these values; more may be placed inside."""
        with gr.Row(**settings) as row:
            for path in paths:
                self.place(path)
            yield row

    @property
    def inputs(self) -> list[Any]:
        return [control.component for control in self.controls.values()]

    def values(self, shown: Sequence[Any]) -> dict[str, Any]:
        """Dotted names and values of what `inputs` hold. Raises `BadRequest` that names the value."""
        if len(shown) < len(self.controls):
            raise BadRequest(self.tab, "the page is older than the program.", remedy="Reload the page.")
        read = {control.path: control.read(value) for control, value in zip(self.controls.values(), shown)}
        if "mask.blur_x" in read:
            read["mask.blur_y"] = read["mask.blur_x"]
        return read

    def request(self, shown: Sequence[Any]) -> GenerationRequest:
        """The request that the controls describe, without pictures and steps. Raises `BadRequest`."""
        return GenerationRequest().with_values(**gather_steps(self.values(shown))[0])

    def show(self, request: GenerationRequest) -> list[Any]:
        """What `inputs` have to hold for a request; the steps of finished pictures stay as they are."""
        return [
            control.show(request.get(path)) if find_declaration(path) else gr.skip()
            for path, control in self.controls.items()
        ]

    def show_some(self, values: Mapping[str, Any]) -> list[Any]:
        """The same for some values by dotted name; what does not fit, and all others, stay as they are."""
        return [self._shown(control, values) for control in self.controls.values()]

    def _shown(self, control: Control, values: Mapping[str, Any]) -> Any:
        if control.path not in values:
            return gr.skip()
        try:
            return control.show(control.declaration.check(values[control.path]))
        except BadRequest:
            # Kept by an older version, whose limits were others.
            return gr.skip()

    def lists(self) -> list[Control]:
        """The controls whose choices only a running engine knows."""
        return [control for control in self.controls.values() if control.source]


class ExtrasForm(Form):
    """The values of the Extras tab, which are those of an `ExtrasRequest`."""

    find = staticmethod(find_extras_declaration)


def _words(path: str) -> tuple[tuple[Any, str], ...]:
    if path == "source.resize_mode":
        return tuple(enumerate(RESIZE_MODES))
    return WORDS[path].words if path in WORDS else ()


def component_for(
    declaration: Declaration, words: Sequence[tuple[Any, str]], choices: Sequence[str], settings: dict[str, Any]
) -> Any:
    """The component that suits a declaration. `settings` are the component's own: label, value, elem_id and more."""
    told, kind = declaration.param, declaration.kind
    if words:
        label = WORDS[declaration.path].label if declaration.path in WORDS else told.label
        return gr.Radio([word for _, word in words], **{**settings, "label": label})
    if kind == "bool":
        return gr.Checkbox(**settings)
    if kind == "list" and told.widget == "checkboxes":
        return gr.CheckboxGroup(list(told.choices), **settings)
    if kind == "list":
        return gr.Dropdown(list(choices), multiselect=True, allow_custom_value=True, **settings)
    if choices or isinstance(told.choices, str):
        # Custom values, since the engine's lists are not known before it is ready; the request is checked anyhow.
        return gr.Dropdown(list(choices) or [settings["value"]], allow_custom_value=True, **settings)
    if isinstance(told.choices, tuple):
        return gr.Dropdown(list(told.choices), **settings)
    if kind in ("int", "float") and told.minimum is not None and told.maximum is not None:
        return _slider(declaration, settings)
    if kind in ("int", "float"):
        return gr.Number(precision=0 if kind == "int" else None, **settings)
    return gr.Textbox(**settings)


def _slider(declaration: Declaration, settings: dict) -> Any:
    told = declaration.param
    slider = gr.Slider(told.minimum, told.maximum, step=told.step, buttons=[], **settings)
    # The slider's ends are for the hand. Pasted values may lie beyond them: what counts are the hard limits, which
    # are checked when the request is made.
    slider.preprocess = lambda value: value
    return slider
