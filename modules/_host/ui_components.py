"""A1111's own components: tool buttons, rows inside forms, the accordion with a switch."""

from __future__ import annotations

from itertools import count
from typing import Any, ClassVar

import gradio as gr
from gradio import layouts

from modules._host.gradio3 import install

# Before the first subclass is made: Gradio would write files beside it.
install()


class FormComponent:
    """A mixin: the component may stand in a form with its neighbours."""

    def get_expected_parent(self) -> type:
        return layouts.Form


class ToolButton(FormComponent, gr.Button):
    def __init__(self, value: Any = "", *args: Any, elem_classes: Any = None, **kwargs: Any) -> None:
        given = [elem_classes] if isinstance(elem_classes, str) else list(elem_classes or ())
        super().__init__(value, *args, elem_classes=["tool", *given], **kwargs)

    def get_block_name(self) -> str:
        return "button"


class FormRow(FormComponent, gr.Row):
    def get_block_name(self) -> str:
        return "row"


class ResizeHandleRow(gr.Row):
    def __init__(self, **kwargs: Any) -> None:
        given = kwargs.pop("elem_classes", None) or []
        given = [given] if isinstance(given, str) else list(given)
        super().__init__(elem_classes=[*given, "resize-handle-row"], **kwargs)

    def get_block_name(self) -> str:
        return "row"


class FormColumn(FormComponent, gr.Column):
    def get_block_name(self) -> str:
        return "column"


class FormGroup(FormComponent, gr.Group):
    def get_block_name(self) -> str:
        return "group"


class FormHTML(FormComponent, gr.HTML):
    def get_block_name(self) -> str:
        return "html"


class FormColorPicker(FormComponent, gr.ColorPicker):
    def get_block_name(self) -> str:
        return "colorpicker"


class DropdownMulti(FormComponent, gr.Dropdown):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(multiselect=True, **kwargs)

    def get_block_name(self) -> str:
        return "dropdown"


class DropdownEditable(FormComponent, gr.Dropdown):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_custom_value=True, **kwargs)

    def get_block_name(self) -> str:
        return "dropdown"


class InputAccordion(gr.Checkbox):
    """A checkbox shown as an accordion: open is True. `with InputAccordion(False, label="x") as enabled:`."""

    accordion_id_set: ClassVar[set[str]] = set()
    _numbers: ClassVar[Any] = count()

    def __init__(self, value: bool = False, **kwargs: Any) -> None:
        self.accordion_id = kwargs.get("elem_id") or f"input-accordion-{next(self._numbers)}"
        self.accordion_id_set.add(self.accordion_id)
        # The box stays in the page, where a script keeps it and the accordion alike.
        hidden = {**kwargs, "elem_id": f"{self.accordion_id}-checkbox", "visible": "hidden"}
        super().__init__(value=value, **hidden)
        link = f'function(checked) {{ inputAccordionChecked("{self.accordion_id}", checked); }}'
        self.change(fn=None, _js=link, inputs=[self])
        shown = {
            **kwargs, "elem_id": self.accordion_id, "label": kwargs.get("label", "Accordion"),
            "elem_classes": ["input-accordion"], "open": value,
        }  # fmt: skip
        self.accordion = gr.Accordion(**{k: v for k, v in shown.items() if k in _ACCORDION})

    def extra(self) -> Any:
        """A place for controls in the accordion's header."""
        return gr.Column(elem_id=f"{self.accordion_id}-extra", elem_classes="input-accordion-extra", min_width=0)

    def __enter__(self) -> InputAccordion:
        self.accordion.__enter__()
        return self

    def __exit__(self, *exc: Any) -> None:
        self.accordion.__exit__(*exc)

    def get_block_name(self) -> str:
        return "checkbox"


_ACCORDION = frozenset(("label", "open", "visible", "elem_id", "elem_classes", "render"))
