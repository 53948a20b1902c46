"""AxisOption: an axis of the X/Y/Z plot as A1111 extensions describe it, and how it becomes one of the program's."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

from atelier.base.errors import BadRequest, ExtensionError
from atelier.params.axes import GridAxis
from atelier.params.request import GenerationRequest, find_declaration
from atelier.params.sweep import A1111_AXES, SEARCH, SIZE, STRENGTH, parse_numbers, split_csv
from modules._host.processing import StableDiffusionProcessingImg2Img, StableDiffusionProcessingTxt2Img

#: the name in `request.extras` under which a cell holds the values of extensions' axes: (label, value, all values)
CELL = "a1111_axes"
_FAILED = object()


class SharedSettingsStackHelper:
    """Settings of a grid's cells are overlays here: there is nothing to put back."""

    def __enter__(self) -> SharedSettingsStackHelper:
        return self

    def __exit__(self, *_: Any) -> None:
        """Nothing was changed."""


def str_permutations(x: Any) -> Any:
    """The type of an axis whose values are all orders of what was given."""
    return x


def do_nothing(p: Any, x: Any, xs: Any) -> None:
    """The value of the axis "Nothing"."""


def format_value(p: Any, opt: Any, x: Any) -> Any:
    return round(x, 8) if isinstance(x, float) else x


def format_value_add_label(p: Any, opt: Any, x: Any) -> str:
    return f"{opt.label}: {format_value(p, opt, x)}"


def format_value_join_list(p: Any, opt: Any, x: Any) -> str:
    return ", ".join(map(str, x))


def format_nothing(p: Any, opt: Any, x: Any) -> str:
    return ""


def apply_field(field: str) -> Callable[[Any, Any, Any], None]:
    return lambda p, x, xs: setattr(p, field, x)


def apply_override(field: str, boolean: bool = False) -> Callable[[Any, Any, Any], None]:
    def put(p: Any, x: Any, xs: Any) -> None:
        p.override_settings[field] = str(x).lower() == "true" if boolean else x

    return put


def boolean_choice(reverse: bool = False) -> Callable[[], list[str]]:
    return lambda: ["False", "True"] if reverse else ["True", "False"]


def confirm_range(min_val: float, max_val: float, axis_label: str) -> Callable[[Any, Any], None]:
    def check(p: Any, xs: Any) -> None:
        for x in xs:
            if not min_val <= float(x) <= max_val:
                raise BadRequest(axis_label, f"{x} is outside its limits.", remedy=f"Use {min_val:g} to {max_val:g}.")

    return check


class AxisOption:
    """`ours` is True for the axes of the program, which are listed so that extensions find them."""

    is_img2img: bool | None = None
    ours = False

    def __init__(
        self, label: str, type: Any, apply: Callable[[Any, Any, Any], Any], format_value: Any = format_value_add_label,
        confirm: Any = None, cost: float = 0.0, choices: Any = None, prepare: Any = None,
    ) -> None:  # fmt: skip
        self.label, self.type, self.apply, self.format_value = label, type, apply, format_value
        self.confirm, self.cost, self.choices, self.prepare = confirm, cost, choices, prepare


class AxisOptionImg2Img(AxisOption):
    is_img2img = True


class AxisOptionTxt2Img(AxisOption):
    is_img2img = False


def own_options() -> list[AxisOption]:
    """A1111's axes in its order."""
    found = []
    for label, target, kinds in A1111_AXES:
        cls = AxisOption if len(kinds) > 1 else AxisOptionImg2Img if kinds[0] == "img2img" else AxisOptionTxt2Img
        declared = find_declaration(target)
        types = {"int": int, "float": float, "bool": bool}
        option = cls(label, types.get(declared.kind, str) if declared is not None else str, _applier(target))
        option.ours = True
        found.append(option)
    return found


def _applier(target: str) -> Callable[[Any, Any, Any], None]:
    """What an axis of the program does to a draft, for extensions that call it."""

    def put(p: Any, x: Any, xs: Any) -> None:
        declared = find_declaration(target)
        if declared is not None and declared.param.a1111:
            setattr(p, declared.param.a1111, x)
        elif target.startswith("settings."):
            p.override_settings[target.partition(".")[2]] = x
        elif target == STRENGTH:
            p.denoising_strength = x
        elif target == SIZE:
            p.width, p.height = (int(side) for side in str(x).split("x"))
        elif target == SEARCH:
            p.prompt, p.negative_prompt = p.prompt.replace(xs[0], x), p.negative_prompt.replace(xs[0], x)

    return put


class AxisOptions:
    """The axes that extensions have added to the list in `xyz_grid.py`."""

    def __init__(self, home: Any) -> None:
        self._home = home

    def added(self, kind: str) -> list[AxisOption]:
        modules = [data.module for data in self._home.loader.scripts if data.script_class.__module__ == "xyz_grid.py"]
        listed = [option for module in modules for option in getattr(module, "axis_options", ())]
        return [o for o in listed if not getattr(o, "ours", False) and o.is_img2img in (None, kind == "img2img")]

    def grid_axes(self, kind: str) -> list[GridAxis]:
        return [self._axis(option, kind) for option in self.added(kind)]

    def put_into(self, p: Any, request: GenerationRequest) -> None:
        """Does to the draft of a cell what its axes ask for. Raises `ExtensionError` when one of them fails."""
        known = {option.label: option for option in self.added(request.kind)}
        for label, value, values in request.extras.get(CELL) or ():
            if label not in known:
                raise ExtensionError(f"The axis {label} is not there any more.", remedy="Switch its extension on.")
            self._call(known[label], "apply", lambda: known[label].apply(p, value, values))  # noqa: B023

    def _axis(self, option: AxisOption, kind: str) -> GridAxis:
        def put(request: GenerationRequest, value: Any, values: tuple[Any, ...]) -> GenerationRequest:
            cell = [*(request.extras.get(CELL) or ()), [option.label, value, list(values)]]
            return request.with_values(extras={**request.extras, CELL: cell})

        def show(value: Any) -> str:
            return str(self._call(option, "format_value", lambda: option.format_value(None, option, value)))

        choices = option.choices
        return GridAxis(
            option.label, lambda text: self._read(option, kind, text), put, show, float(option.cost or 0),
            None if choices is None else lambda: [str(c) for c in self._call(option, "choices", choices)],
        )  # fmt: skip

    def _read(self, option: AxisOption, kind: str, text: str) -> tuple[Any, ...]:
        words = split_csv(text)
        values: list[Any]
        if option.prepare is not None:
            values = list(self._call(option, "prepare", lambda: option.prepare(text)))
        elif option.type in (int, float):
            values = [n for word in words for n in parse_numbers(word, option.type is int, option.label)]
        elif option.type is bool:
            values = [word.lower() == "true" for word in words]
        elif option.type is str_permutations:
            values = list(permutations(words))
        else:
            values = list(self._call(option, "type", lambda: [option.type(word) for word in words]))
        if not values:
            raise BadRequest(option.label, "there is no value.", remedy="Write values separated by commas.")
        if option.confirm is not None:
            p = StableDiffusionProcessingImg2Img() if kind == "img2img" else StableDiffusionProcessingTxt2Img()
            self._call(option, "confirm", lambda: option.confirm(p, values))
        return tuple(values)

    def _call(self, option: AxisOption, moment: str, function: Callable[[], Any]) -> Any:
        # The functions of an extension live in its modules, which carry the names of its files.
        code = getattr(option.apply, "__code__", None)
        owner = self._home.loader.owner(code.co_filename if code is not None else None)
        result = self._home.guard.call(owner, f"axis {option.label}: {moment}", function, default=_FAILED)
        if result is _FAILED:
            reason = self._home.guard.failures[-1].message if self._home.guard.failures else "it is switched off"
            raise ExtensionError(
                f"The axis {option.label} failed: {reason}.",
                remedy="Choose another axis, or see the extensions tab for the traceback.", extension=owner,
            )  # fmt: skip
        return result
