"""X/Y/Z plot, as A1111 extensions find it and add axes to it; really in atelier/scripts/xyz.py."""

from modules._host.axis_option import (
    AxisOption,
    AxisOptionImg2Img,
    AxisOptionTxt2Img,
    SharedSettingsStackHelper,
    apply_field,
    apply_override,
    boolean_choice,
    confirm_range,
    do_nothing,
    format_nothing,
    format_value,
    format_value_add_label,
    format_value_join_list,
    own_options,
    str_permutations,
)
from modules._host.builtin import script_class

__all__ = [
    "AxisOption", "AxisOptionImg2Img", "AxisOptionTxt2Img", "Script", "SharedSettingsStackHelper", "apply_field",
    "apply_override", "axis_options", "boolean_choice", "confirm_range", "do_nothing", "format_nothing",
    "format_value", "format_value_add_label", "format_value_join_list", "str_permutations",
]  # fmt: skip

#: extensions append to it
axis_options = own_options()

Script = script_class("X/Y/Z plot", __name__)
