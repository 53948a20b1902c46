"""Pattern: an always-on script that adds axes to the X/Y/Z plot, found by the name of its file."""

import os

import modules.scripts as scripts
from modules import script_callbacks

SEEN = []


def add_axes():
    (grid,) = (d.module for d in scripts.scripts_data if os.path.basename(d.path) == "xyz_grid.py")
    assert [d.script_class.__module__ for d in scripts.scripts_data].count("xyz_grid.py") == 1
    if any(option.label.startswith("[Axes]") for option in grid.axis_options):
        return
    grid.axis_options.extend([
        grid.AxisOption("[Axes] Word", str, grid.apply_field("axes_word"), choices=lambda: ["moon", "sun"]),
        grid.AxisOption("[Axes] Power", float, set_power, grid.format_value, confirm=grid.confirm_range(0, 10, "Power"),
                        cost=0.5),
        grid.AxisOption("[Axes] Skip", int, grid.apply_override("CLIP_stop_at_last_layers")),
        grid.AxisOptionImg2Img("[Axes] Only img2img", int, grid.do_nothing),
        grid.AxisOption("[Axes] Broken", str, broken),
    ])  # fmt: skip


def set_power(p, x, xs):
    p.axes_power = (x, list(xs))


def broken(p, x, xs):
    raise ValueError("this axis is broken")


script_callbacks.on_before_ui(add_axes)


class Script(scripts.Script):
    def title(self):
        return "Sample axes"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def process(self, p):
        SEEN.append((getattr(p, "axes_word", None), getattr(p, "axes_power", None)))
        if getattr(p, "axes_word", None):
            p.extra_generation_params["Axes word"] = p.axes_word
