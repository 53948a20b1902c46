"""`modules.ui_components`: A1111's own components; really in modules/_host/ui_components.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType({
    "FormComponent": "modules._host.ui_components:FormComponent",
    "ToolButton": "modules._host.ui_components:ToolButton", "FormRow": "modules._host.ui_components:FormRow",
    "FormColumn": "modules._host.ui_components:FormColumn", "FormGroup": "modules._host.ui_components:FormGroup",
    "FormHTML": "modules._host.ui_components:FormHTML",
    "FormColorPicker": "modules._host.ui_components:FormColorPicker",
    "ResizeHandleRow": "modules._host.ui_components:ResizeHandleRow",
    "DropdownMulti": "modules._host.ui_components:DropdownMulti",
    "DropdownEditable": "modules._host.ui_components:DropdownEditable",
    "InputAccordion": "modules._host.ui_components:InputAccordion",
})  # fmt: skip

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
